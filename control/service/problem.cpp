// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/problem.h"

#include <algorithm>
#include <array>
#include <utility>

namespace moat {
namespace {

constexpr std::array kinds = {
#define MOAT_X(name, word, is_problem, one, several, meaning, remedy) \
  ProblemKind{word, is_problem, one, several, meaning, remedy},
    MOAT_PROBLEM_LIST(MOAT_X)
#undef MOAT_X
};

}  // namespace

std::span<const ProblemKind> problem_kinds() { return kinds; }

const ProblemKind* find_problem_kind(std::string_view code) {
  const auto* const found = std::ranges::find(kinds, code, &ProblemKind::code);
  return found == kinds.end() ? nullptr : found;
}

void sort_problems(std::vector<Problem>& problems) {
  const auto rank = [](const Problem& problem) { return find_problem_kind(problem.code); };
  std::ranges::stable_sort(problems, {}, rank);
}

Problem make_problem(std::string_view code, std::string subject, std::string message,
                     std::string remedy, Faults faults) {
  if (const auto* kind = find_problem_kind(code); remedy.empty() && kind != nullptr)
    remedy = kind->remedy;
  return {std::string(code), std::move(subject), std::move(message), std::move(remedy),
          std::move(faults)};
}

}  // namespace moat
