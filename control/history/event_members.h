// SPDX-License-Identifier: BSD-2-Clause
// What the JSON of an event and of a generation has for members, on disk and in the API: see json_codec.h.
#pragma once

#include "control/history/event.h"
#include "control/history/generation_note.h"
#include "control/policy/json_codec.h"

namespace moat {

template <>
inline constexpr auto view::members_of<Event> = [](auto& v, auto& member) {
  member("number", v.number)("time", v.time)("kind", v.kind)("subject", v.subject)("code", v.code)(
      "generation", v.generation)("author", v.author)("message", v.message);
};

// Of a GenerationNote; what comes after is added to what this gives.
template <typename Note, typename Member>
decltype(auto) note_members(Note& v, Member& member) {
  return member("generation", v.generation)("time", v.time)("cause", v.cause)("author", v.author)(
      "command", v.command)("change", v.change);
}

}  // namespace moat
