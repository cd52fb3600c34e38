// SPDX-License-Identifier: BSD-2-Clause
// What the JSON of an event has for members, on disk and in the API: see json_codec.h.
#pragma once

#include <tuple>

#include "control/history/event.h"
#include "control/policy/json_codec.h"

namespace moat {

template <>
inline constexpr auto view::members_of<Event> =
    std::tuple("number", &Event::number, "time", &Event::time, "kind", &Event::kind, "subject",
               &Event::subject, "code", &Event::code, "generation", &Event::generation, "author",
               &Event::author, "message", &Event::message);

}  // namespace moat
