// SPDX-License-Identifier: BSD-2-Clause
// Contenders in turn: one measurement of each, then the next round. What disturbs the machine for a
// while disturbs them all, and the median over the rounds leaves out the rest.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace moat::bench {

struct Contender {
  std::string name;
  std::function<double()> measure;  // ns an operation
};

// Median and quartiles.
struct Spread {
  double median = 0, low = 0, high = 0;
};

struct Figure {
  std::string name;
  Spread ns;
  Spread over;  // the first contender, within a round
};

// Quantile q of the samples, which are put in order.
inline double quantile(std::vector<double>& samples, double q) {
  std::sort(samples.begin(), samples.end());
  return samples[static_cast<std::size_t>(
      std::lround(q * static_cast<double>(samples.size() - 1)))];
}

inline Spread spread_of(std::vector<double> samples) {
  return {quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75)};
}

inline std::vector<Figure> take_turns(const std::vector<Contender>& contenders,
                                      std::size_t rounds) {
  std::vector<std::vector<double>> samples(contenders.size());
  for (const Contender& contender : contenders) contender.measure();  // warms up
  for (std::size_t round = 0; round < rounds; round++)
    for (std::size_t i = 0; i < contenders.size(); i++)
      samples[i].push_back(contenders[i].measure());
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < contenders.size(); i++) {
    std::vector<double> over;
    std::ranges::transform(samples[i], samples.front(), std::back_inserter(over), std::minus());
    figures.push_back({contenders[i].name, spread_of(samples[i]), spread_of(std::move(over))});
  }
  return figures;
}

}  // namespace moat::bench
