// SPDX-License-Identifier: BSD-2-Clause
#include "control/api/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <utility>

#include "control/service/json.h"
#include "control/service/status_text.h"

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

void add_status(Families& families, const StatusView& status) {
  const auto problems = count_problems(status);
  add_gauge(families, "moat_ready", "Whether everything that is configured is enforced.",
            status.ready && problems == 0);
  add_gauge(families, "moat_generation", "Number of the live table; 0: nothing is enforced.",
            static_cast<double>(status.generation));
  add_gauge(families, "moat_databases", "Databases guarded.", status.databases);
  add_gauge(families, "moat_prefixes", "Prefixes that the live policy names.", status.prefixes);
  add_gauge(families, "moat_table_bytes", "Size of the live table.", status.table_bytes);
  add_gauge(families, "moat_problems", "What status names as wrong, NAT rules left out.",
            static_cast<double>(problems));
  add_propagation(families, status);

  auto interfaces = gauge("moat_interface_attached", "Whether Moat's program is on the interface.");
  for (const auto& interface : status.interfaces) {
    interfaces.add(interface.is_attached(),
                   {{"interface", interface.name}, {"mode", std::string(word(interface.mode))}});
  }
  families.push_back(interfaces.take());

  add_fast_path(families, status.fast_path);
  auto backstop = gauge("moat_backstop_on", "Whether this part of the backstop is on.");
  backstop.add(status.backstop.at_sockets, {{"part", "at-sockets"}});
  backstop.add(status.backstop.before_sockets, {{"part", "before-sockets"}});
  families.push_back(backstop.take());

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

}  // namespace

std::string metrics_text(Service& service) {
  Families families;
  add_status(families, service.status());
  if (const auto counters = service.counters("")) add_counters(families, *counters);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace moat
