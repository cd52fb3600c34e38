// SPDX-License-Identifier: BSD-2-Clause
#include "control/api/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include "control/service/json.h"
#include "control/service/problem.h"

namespace moat {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

// One metric: its name, what it says, and its samples.
class Family {
 public:
  Family(std::string name, std::string help, MetricType type)
      : family_{std::move(name), std::move(help), type, {}} {}

  Family& add(double value, const Labels& labels = {}) {
    ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (family_.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family_.metric.push_back(std::move(metric));
    return *this;
  }

  MetricFamily take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

Family gauge(std::string name, std::string help) {
  return {std::move(name), std::move(help), MetricType::Gauge};
}

Family counter(std::string name, std::string help) {
  return {std::move(name), std::move(help), MetricType::Counter};
}

// A pair of metrics, packets and bytes of the same thing.
struct CountsFamily {
  Family packets;
  Family bytes;

  CountsFamily(const std::string& name, const std::string& of)
      : packets(counter("moat_" + name + "_packets_total", "Packets " + of + ".")),
        bytes(counter("moat_" + name + "_bytes_total", "Bytes " + of + ", whole frames.")) {}

  void add(const Counts& counts, const Labels& labels) {
    packets.add(static_cast<double>(counts.packets), labels);
    bytes.add(static_cast<double>(counts.bytes), labels);
  }
};

using Families = std::vector<MetricFamily>;

void add_gauge(Families& families, std::string name, std::string help, double value) {
  families.push_back(gauge(std::move(name), std::move(help)).add(value).take());
}

void add_times(Families& families, const PropagationTimes& times) {
  MetricFamily family{"moat_propagation_duration_seconds",
                      "From a change's being written to its being enforced, since moatd's start.",
                      MetricType::Histogram,
                      {}};
  ClientMetric metric;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < times.counts.size(); ++i) {
    count += times.counts[i];
    const bool is_last = i == PropagationTimes::bounds.size();
    metric.histogram.bucket.push_back(
        {count, is_last ? std::numeric_limits<double>::infinity() : PropagationTimes::bounds[i]});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = times.sum;
  family.metric.push_back(std::move(metric));
  families.push_back(std::move(family));
}

void add_propagation(Families& families, const StatusView& status) {
  constexpr double per_second = 1000;
  unsigned overdue = 0;
  for (const auto& pending : status.pending) overdue += pending.overdue;
  add_gauge(families, "moat_propagation_bound_seconds",
            "Within this time a written change must be enforced.",
            status.bound.count() / per_second);
  add_gauge(families, "moat_changes_pending", "Changes noticed and not enforced yet.",
            static_cast<double>(status.pending.size()));
  add_gauge(families, "moat_changes_overdue", "Changes not enforced within the bound.", overdue);
  add_times(families, status.propagation);
  if (!status.last || !status.last->enforced) return;
  const std::chrono::duration<double> took = *status.last->enforced - status.last->written;
  add_gauge(families, "moat_propagation_seconds",
            "From the latest change's being written to its being enforced.", took.count());
}

// Nothing on a host that has none.
void add_fast_path(Families& families, const FastPathStatus& fast_path) {
  if (!fast_path.is_wanted && !fast_path.is_connected) return;
  add_gauge(families, "moat_fast_path_connected", "Whether the fast path's process is reached.",
            fast_path.is_connected);
  add_gauge(families, "moat_fast_path_generation",
            "Number of the table that the fast path judges by; 0: none, nothing passes.",
            static_cast<double>(fast_path.generation));
  add_gauge(families, "moat_fast_path_behind",
            "Whether the fast path does not judge by the live table, as far as is known.",
            fast_path.is_behind);
  families.push_back(counter("moat_fast_path_closed_packets_total",
                             "Frames that the fast path dropped as it had no table yet.")
                         .add(static_cast<double>(fast_path.closed))
                         .take());
  auto link = gauge("moat_fast_path_link", "Whether the fast path's port has a link.");
  auto packets = counter("moat_fast_path_packets_total", "Packets of the fast path's port.");
  auto lost = counter("moat_fast_path_lost_packets_total",
                      "Packets that the fast path's port lost, by cause.");
  const auto add = [](Family& family, const FastPathPort& port, const char* label,
                      const char* value, std::uint64_t count) {
    family.add(static_cast<double>(count), {{"port", port.name}, {label, value}});
  };
  for (const auto& port : fast_path.ports) {
    link.add(port.has_link, {{"port", port.name}});
    add(packets, port, "direction", "received", port.rx_packets);
    add(packets, port, "direction", "sent", port.tx_packets);
    add(lost, port, "cause", "rx-missed", port.rx_missed);
    add(lost, port, "cause", "rx-no-buffer", port.rx_no_mbuf);
    add(lost, port, "cause", "rx-error", port.rx_errors);
    add(lost, port, "cause", "tx-full", port.tx_full);
  }
  for (auto* family : {&link, &packets, &lost}) families.push_back(family->take());
}

// A sample for each code, so that none appears out of nothing.
void add_problems(Families& families, const StatusView& status) {
  add_gauge(families, "moat_problems", "What status names as wrong, NAT rules left out.",
            static_cast<double>(status.problems.size()));
  auto by_code = gauge("moat_problems_by_code", "The same by code, see moatd(8).");
  for (const auto& kind : problem_kinds()) {
    if (!kind.is_problem || kind.code == code::nat_past_guard) continue;
    by_code.add(static_cast<double>(std::ranges::count(status.problems, kind.code, &Problem::code)),
                {{"code", std::string(kind.code)}});
  }
  families.push_back(by_code.take());
}

void add_interfaces(Families& families, const StatusView& status) {
  auto attached = gauge("moat_interface_attached", "Whether Moat's program is on the interface.");
  auto generic = gauge("moat_interface_generic",
                       "Whether the interface runs in generic mode, which is slower.");
  for (const auto& interface : status.interfaces) {
    attached.add(interface.is_attached(),
                 {{"interface", interface.name}, {"mode", std::string(word(interface.mode))}});
    generic.add(interface.is_attached() && interface.mode == AttachMode::generic,
                {{"interface", interface.name}});
  }
  families.push_back(attached.take());
  families.push_back(generic.take());
}

void add_status(Families& families, const StatusView& status) {
  families.push_back(gauge("moat_build_info", "1, with the version of moatd.")
                         .add(1, {{"version", status.version}})
                         .take());
  add_gauge(families, "moat_start_time_seconds", "When moatd was started, in Unix time.",
            std::chrono::duration<double>(status.since.time_since_epoch()).count());
  add_gauge(families, "moat_ready",
            "Whether status says ready and names no problem (see moat_problems).",
            status.ready && status.problems.empty());
  add_gauge(families, "moat_generation", "Number of the live table; 0: nothing is enforced.",
            static_cast<double>(status.generation));
  add_gauge(families, "moat_databases", "Databases guarded.", status.databases);
  add_gauge(families, "moat_prefixes", "Prefixes that the live policy names.", status.prefixes);
  add_gauge(families, "moat_table_bytes", "Size of the live table.", status.table_bytes);
  add_problems(families, status);
  add_propagation(families, status);
  add_gauge(families, "moat_change_unconfirmed",
            "Whether a change waits to be confirmed, and is undone otherwise.",
            status.trial.has_value());
  add_gauge(families, "moat_rules_expiring", "Rules that expire within a day.",
            status.expiring_rules);
  add_gauge(families, "moat_rules_expired", "Rules that have expired.", status.expired_rules);
  add_gauge(families, "moat_monitor_mode",
            "Whether the host's mode is monitor, for databases without a mode of their own.",
            status.mode == Mode::monitor);
  add_interfaces(families, status);
  add_fast_path(families, status.fast_path);
  auto backstop = gauge("moat_backstop_on", "Whether this part of the backstop is on.");
  backstop.add(status.backstop.at_sockets, {{"part", "at-sockets"}});
  backstop.add(status.backstop.before_sockets, {{"part", "before-sockets"}});
  families.push_back(backstop.take());

  auto held_down = gauge("moat_held_down_prefixes",
                         "Prefixes that have left a managed range and stay allowed for a while.");
  for (const auto& range : status.held_down)
    held_down.add(static_cast<double>(range.prefixes), {{"range", range.range}});
  families.push_back(held_down.take());
  add_gauge(families, "moat_guarded_ranges",
            "Managed ranges of which a version is held back, as it changes too much at once.",
            static_cast<double>(status.guarded_ranges.size()));

  std::map<FileState, unsigned> by_state{{FileState::active, 0},
                                         {FileState::held_back, 0},
                                         {FileState::vanished, 0},
                                         {FileState::not_guarded, 0}};
  for (const auto& file : status.files) ++by_state[file.state];
  auto files = gauge("moat_rule_files", "Rule files by state.");
  for (const auto& [state, count] : by_state) {
    files.add(count, {{"state", std::string(word(state))}});
  }
  families.push_back(files.take());
}

void add_counters(Families& families, const CountersView& counters) {
  CountsFamily rules("rule", "that a rule let pass");
  for (const auto& rule : counters.rules) {
    rules.add(rule.hits, {{"database", rule.database}, {"rule", rule.id}, {"type", rule.type}});
  }
  CountsFamily verdicts("verdict", "by reason, those of rules left out");
  for (const auto& reason : counters.reasons) {
    verdicts.add(reason.counts, {{"owner", reason.owner},
                                 {"reason", reason.reason},
                                 {"monitored", reason.monitored ? "true" : "false"}});
  }
  CountsFamily allowed("allowed", "that rules let pass, removed rules included");
  CountsFamily dropped("dropped", "refused");
  auto monitored = gauge("moat_database_monitored",
                         "Whether the database is in monitor mode: what is refused passes.");
  for (const auto& total : counters.totals) {
    monitored.add(total.mode == Mode::monitor, {{"database", total.database}});
    allowed.add(total.allowed, {{"database", total.database}});
    dropped.add(total.dropped, {{"database", total.database}});
  }
  for (auto* family : {&rules, &verdicts, &allowed, &dropped}) {
    families.push_back(family->packets.take());
    families.push_back(family->bytes.take());
  }
  families.push_back(monitored.take());
  families.push_back(counter("moat_drop_events_lost_total",
                             "Drops, counted, that were not told of for want of room.")
                         .add(static_cast<double>(counters.lost_events))
                         .take());
}

// All three of each peering, so that a change is a change of values.
void add_net_peerings(Families& families, const std::vector<NetPeeringView>& peerings) {
  auto status = gauge("moat_net_peering_status",
                      "1 for the status that a net peering has, 0 for the others.");
  for (const auto& peering : peerings) {
    for (const auto state :
         {NetPeeringState::active, NetPeeringState::no_rule, NetPeeringState::no_route}) {
      status.add(peering.state == state, {{"database", peering.database},
                                          {"net_peering", peering.id},
                                          {"status", std::string(word(state))}});
    }
  }
  families.push_back(status.take());
}

Families families_of(Service& service) {
  Families families;
  add_status(families, service.status());
  if (const auto counters = service.counters("")) add_counters(families, *counters);
  if (const auto peerings = service.net_peerings("")) add_net_peerings(families, *peerings);
  return families;
}

}  // namespace

std::string metrics_text(Service& service) {
  return prometheus::TextSerializer().Serialize(families_of(service));
}

// The text format but for two things: a counter's family is named without the _total that its
// samples have, and the end is told.
std::string open_metrics_text(Service& service) {
  constexpr std::string_view total = "_total";
  std::istringstream lines(metrics_text(service));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const auto end = line.find(' ', line.find(' ', 2) + 1);  // of the name: "# HELP name ..."
    if (line.starts_with('#') && std::string_view(line).substr(0, end).ends_with(total))
      line.erase(end - total.size(), total.size());
    text += line + '\n';
  }
  return text + "# EOF\n";
}

}  // namespace moat
