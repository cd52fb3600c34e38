// SPDX-License-Identifier: BSD-2-Clause
// moat.yaml: where rules are enforced, and how.
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "control/files/reading.h"
#include "control/os/loopback.h"
#include "control/text/input_limits.h"
#include "control/yaml/fields.h"

namespace moat {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view no_interface = "write `[]` for none";

constexpr std::string_view no_cgroup =
    "write the folder of a cgroup, from the root: /sys/fs/cgroup/a";

constexpr std::string_view nic_form =
    "write `nic: \"0000:3b:00.0\"` or `nic: \"net_af_xdp0,iface=eth1\"`";
constexpr std::string_view lcores_form = "write the numbers of CPUs: `lcores: [2, 3]`";
constexpr unsigned max_cpu = CPU_SETSIZE - 1;

constexpr std::array config_keys = {
    Key{"interfaces", true, "write `interfaces: [eth0]`"},
    Key{"attach", false, "write auto, native or generic"},
    Key{"mode", false, "write enforce or monitor"},
    Key{"databases", false, "write the folder of the database files"},
    Key{"managed-ranges", false, "write the folder of the managed ranges"},
    Key{"trusted-interfaces", false, no_interface},
    Key{"backstop", false, "write true or false"},
    Key{"backstop-cgroup", false, no_cgroup},
    Key{"drop-sessions", false, "write true or false"},
    Key{"propagation", false, "write `{bound: 120s, reconcile: 30s, settle: 50ms}`"},
    Key{"managed-range-updates", false, "write `{guard: 50%, hold-down: 1h}`"},
    Key{"fast-path", false, nic_form},
    Key{"socket-readers", false, "write the name of a group"},
    Key{"metrics", false, "write `metrics: 127.0.0.1:9723`"},
};
constexpr std::array range_update_keys = {
    Key{"guard", false, "write `guard: 50%`, or `guard: off`"},
    Key{"hold-down", false, "write `hold-down: 1h`, or `hold-down: 0`"},
};
constexpr std::array fast_path_keys = {
    Key{"nic", true, nic_form},
    Key{"kernel-port", false, "write `kernel-port: moat0`"},
    Key{"lcores", false, lcores_form},
    Key{"hugepages", false, "write auto, on or off"},
};
constexpr std::array propagation_keys = {
    Key{"bound", false, "write `bound: 120s`"},
    Key{"reconcile", false, "write `reconcile: 30s`"},
    Key{"settle", false, "write `settle: 50ms`"},
};

std::expected<unsigned, Error> parse_guard(std::string_view text) {
  constexpr unsigned max_guard = 1000;
  constexpr auto remedy = "write 1% to 1000%, or off";
  if (text == "off") return 0;
  unsigned percent = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error == std::errc::result_out_of_range || percent > max_guard)
    return std::unexpected(Error{"the percentage is out of range", remedy});
  if (error != std::errc{} || std::string_view(rest, end) != "%" || text.starts_with('0'))
    return std::unexpected(Error{"not a percentage", remedy});
  return percent;
}

std::expected<milliseconds, Error> parse_hold_down(std::string_view text) {
  if (text == "0" || text == "off") return milliseconds(0);
  const auto length = parse_duration(text);
  if (length && *length < std::chrono::seconds(1))
    return std::unexpected(Error{"the duration is out of range", "write 1s to 24h, or 0"});
  return length;
}

// What the kernel takes as a name (dev_valid_name), but for what is meant as a pattern.
std::expected<std::string, Error> parse_interface(std::string_view text) {
  if (text.empty()) return std::unexpected(Error{"an interface without a name", "name it"});
  if (text.size() >= IFNAMSIZ) {
    return std::unexpected(Error{fmt::format("an interface name of {} bytes", text.size()),
                                 fmt::format("Linux takes {} at most", std::size_t{IFNAMSIZ} - 1)});
  }
  const bool has_odd_character = std::ranges::any_of(
      text, [](char c) { return c == '/' || c == ':' || c == '\x7f' || (c >= '\0' && c <= ' '); });
  if (has_odd_character || text == "." || text == "..") {
    return std::unexpected(Error{"no interface can have such a name", "see `ip link`"});
  }
  if (text.find_first_of("*?[") != std::string_view::npos) {
    return std::unexpected(Error{"names of interfaces are not patterns", "name each of them"});
  }
  return std::string(text);
}

// One whose packets can be judged.
std::expected<std::string, Error> parse_guarded_interface(std::string_view text) {
  if (text == "lo") {
    return std::unexpected(
        Error{"lo carries the host's connections to itself, which would be dropped",
              "take it out: what comes from outside never comes by lo"});
  }
  return parse_interface(text);
}

std::expected<WantedAttach, Error> parse_attach(std::string_view text) {
  if (text == "auto") return WantedAttach::automatic;
  if (text == "native") return WantedAttach::native;
  if (text == "generic") return WantedAttach::generic;
  return std::unexpected(Error{"no such way to attach", "write auto, native or generic"});
}

std::expected<std::string, Error> parse_cgroup(std::string_view text) {
  if (text.starts_with('/')) return std::string(text);
  return std::unexpected(Error{"not the folder of a cgroup", std::string(no_cgroup)});
}

std::expected<std::string, Error> parse_group(std::string_view text) {
  const bool is_name = !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-$").contains(c);
  });
  if (is_name) return std::string(text);
  return std::unexpected(Error{"no group can have such a name", "see /etc/group"});
}

std::expected<std::string, Error> parse_metrics(std::string_view text) {
  if (const auto parsed = parse_loopback(std::string(text)); !parsed)
    return std::unexpected(parsed.error());
  return std::string(text);
}

// "net_af_xdp0" of "net_af_xdp0,iface=eth1"
bool is_dpdk_device(std::string_view text) {
  const auto name = text.substr(0, text.find(','));
  return name.size() > 4 && name.starts_with("net_") && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

std::expected<std::string, Error> parse_nic(std::string_view text) {
  std::string nic(text);
  if (is_pci("0000:" + nic)) {
    return std::unexpected(
        Error{"a PCI address without its domain", "write it in full: \"0000:" + nic + "\""});
  }
  const bool has_blank = std::ranges::any_of(text, [](char c) { return c >= '\0' && c <= ' '; });
  if (has_blank || (!is_pci(nic) && !is_dpdk_device(text))) {
    return std::unexpected(Error{"neither a PCI address nor a DPDK device", std::string(nic_form)});
  }
  if (is_pci(nic) || !text.contains(",iface=")) return nic;
  if (auto interface = parse_guarded_interface(interface_of(nic)); !interface)
    return std::unexpected(interface.error());
  return nic;
}

std::expected<unsigned, Error> parse_lcore(std::string_view text) {
  unsigned number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || rest != text.data() + text.size() || number > max_cpu)
    return std::unexpected(
        Error{fmt::format("not the number of a CPU, 0 to {}", max_cpu), "see `lscpu --extended`"});
  return number;
}

std::expected<Hugepages, Error> parse_hugepages(std::string_view text) {
  if (text == "auto") return Hugepages::automatic;
  if (text == "on") return Hugepages::on;
  if (text == "off") return Hugepages::off;
  return std::unexpected(Error{"no such use of hugepages", "write auto, on or off"});
}

class ConfigReader {
 public:
  ConfigReader(const Fields& fields, FaultLog& log, ConfigResult& reading)
      : fields_(fields), log_(log), reading_(reading) {}

  Config read() {
    Config config;
    read_interfaces("interfaces", parse_guarded_interface, config.interfaces, reading_.interfaces);
    read_interfaces("trusted-interfaces", parse_interface, config.trusted_interfaces,
                    reading_.trusted_interfaces);
    read_with("attach", parse_attach, config.attach);
    read_with("mode", parse_mode, config.mode);
    read_folder("databases", config.databases);
    read_folder("managed-ranges", config.managed_ranges);
    read_switch("backstop", config.backstop);
    read_with("backstop-cgroup", parse_cgroup, config.backstop_cgroup);
    if (const auto* node = fields_.find("backstop-cgroup")) {
      reading_.backstop_cgroup_place = log_.place(node->spot());
    }
    read_switch("drop-sessions", config.drop_sessions);
    if (const auto* propagation = fields_.find("propagation")) {
      read_propagation(*propagation, config);
    }
    if (const auto* updates = fields_.find("managed-range-updates")) {
      read_range_updates(*updates, config);
    }
    if (const auto* fast_path = fields_.find("fast-path")) read_fast_path(*fast_path, config);
    read_with("socket-readers", parse_group, config.socket_readers);
    read_with("metrics", parse_metrics, config.metrics);
    check_together(config);
    return config;
  }

 private:
  template <typename Parse, typename T>
  void read_with(std::string_view name, Parse parse, T& value) {
    if (const auto* node = fields_.find(name)) {
      value = read_parsed(*node, name, parse, log_).value_or(value);
    }
  }

  template <typename Parse>
  void read_interfaces(std::string_view name, Parse parse, std::vector<std::string>& interfaces,
                       std::vector<ConfigResult::NamedInterface>& places) {
    const auto* node = fields_.find(name);
    const auto* items = node == nullptr ? nullptr : read_list(*node, name, no_interface, log_);
    if (items == nullptr) return;
    interfaces.clear();
    for (const auto& item : *items) {
      auto interface = read_parsed(item, name, parse, log_);
      if (!interface) continue;
      if (std::ranges::find(interfaces, *interface) != interfaces.end()) {
        log_.error(item.spot(), "the same interface twice", *interface, "name it once");
      }
      places.push_back({*interface, log_.place(item.spot())});
      interfaces.push_back(*std::move(interface));
    }
  }

  void read_folder(std::string_view name, std::string& folder) {
    if (const auto* node = fields_.find(name)) {
      folder = read_line(*node, name, 1, limits::path_bytes, log_).value_or(folder);
    }
  }

  void read_switch(std::string_view name, bool& value) {
    if (const auto* node = fields_.find(name)) {
      value = read_bool(*node, name, log_).value_or(value);
    }
  }

  void read_propagation(const Node& node, Config& config) {
    const auto fields = Fields::of(node, "propagation", propagation_keys, log_);
    if (!fields) return;
    const auto read_duration = [&](std::string_view name, milliseconds& value) {
      if (const auto* duration = fields->find(name)) {
        value = read_parsed(*duration, name, parse_duration, log_).value_or(value);
      }
    };
    read_duration("bound", config.bound);
    read_duration("reconcile", config.reconcile);
    read_duration("settle", config.settle);
    if (config.reconcile + config.settle > config.bound) {
      log_.warning(node.spot(), "a change that goes unnoticed may be overdue before a reconcile",
                   {}, "choose `reconcile` and `settle` well below `bound`");
    }
  }

  void read_range_updates(const Node& node, Config& config) {
    const auto fields = Fields::of(node, "managed-range-updates", range_update_keys, log_);
    if (!fields) return;
    if (const auto* guard = fields->find("guard")) {
      config.guard = read_parsed(*guard, "guard", parse_guard, log_).value_or(config.guard);
    }
    if (const auto* length = fields->find("hold-down")) {
      config.hold_down =
          read_parsed(*length, "hold-down", parse_hold_down, log_).value_or(config.hold_down);
    }
  }

  void read_fast_path(const Node& node, Config& config) {
    const auto fields = Fields::of(node, "fast-path", fast_path_keys, log_);
    if (!fields) return;
    FastPathSettings settings;
    if (const auto* nic = fields->find("nic"))
      settings.nic = read_parsed(*nic, "nic", parse_nic, log_).value_or("");
    if (const auto* port = fields->find("kernel-port")) {
      settings.kernel_port = read_parsed(*port, "kernel-port", parse_guarded_interface, log_)
                                 .value_or(settings.kernel_port);
    }
    if (const auto* lcores = fields->find("lcores")) read_lcores(*lcores, settings.lcores);
    if (const auto* hugepages = fields->find("hugepages")) {
      settings.hugepages =
          read_parsed(*hugepages, "hugepages", parse_hugepages, log_).value_or(settings.hugepages);
    }
    check_apart(settings);
    config.fast_path = std::move(settings);
  }

  void read_lcores(const Node& node, std::vector<unsigned>& lcores) {
    const auto* items = read_list(node, "lcores", lcores_form, log_);
    if (items == nullptr) return;
    lcores.clear();
    for (const auto& item : *items) {
      const auto lcore = read_parsed(item, "lcores", parse_lcore, log_);
      if (!lcore) continue;
      if (std::ranges::find(lcores, *lcore) != lcores.end())
        log_.error(item.spot(), "the same CPU twice", item.text, "name it once");
      reading_.lcores.push_back({*lcore, log_.place(item.spot())});
      lcores.push_back(*lcore);
    }
    if (items->empty() || items->size() > FastPathSettings::max_lcores) {
      log_.error(node.spot(),
                 fmt::format("{} lcores; the fast path has 1 to {}", items->size(),
                             FastPathSettings::max_lcores),
                 {}, std::string(lcores_form));
    }
  }

  // The NIC of the fast path is no interface of the host's any more, and by the kernel port comes
  // what was judged.
  void check_apart(const FastPathSettings& settings) {
    const auto check = [&](const std::vector<ConfigResult::NamedInterface>& named,
                           const std::string& key) {
      for (const auto& [name, place] : named) {
        if (name == settings.kernel_port) {
          log_.error({place.line, place.column},
                     "this is the fast path's kernel port: what comes by it, moat-dpdk has judged",
                     name, fmt::format("take it out of `{}`", key));
        } else if (!is_pci(settings.nic) && name == interface_of(settings.nic)) {
          log_.error({place.line, place.column},
                     "this is the fast path's NIC, which moat-dpdk takes from the kernel", name,
                     fmt::format("take it out of `{}`", key));
        }
      }
    };
    check(reading_.interfaces, "interfaces");
    check(reading_.trusted_interfaces, "trusted-interfaces");
  }

  void check_together(const Config& config) {
    if (config.databases == config.managed_ranges) {
      const auto* key = fields_.key("databases");
      if (key == nullptr) key = fields_.key("managed-ranges");
      log_.error(key->spot(), "databases and managed ranges share a folder", config.databases,
                 "give each a folder of its own");
    }
    const auto* interfaces = fields_.find("interfaces");
    if (interfaces != nullptr && interfaces->is(Node::Kind::list) && interfaces->children.empty() &&
        !config.fast_path) {
      log_.warning(interfaces->spot(), "no interface is guarded", {},
                   "name the interface of the clients");
    }
    if (const auto* backstop = fields_.find("backstop"); backstop != nullptr && !config.backstop) {
      log_.warning(
          backstop->spot(),
          "without the backstop, an interface that appears while Moat runs is open until "
          "the program is on it, a few milliseconds later; one that `interfaces` does not name "
          "stays open",
          "false", "write `backstop: true`");
    }
  }

  const Fields& fields_;
  FaultLog& log_;
  ConfigResult& reading_;
};

}  // namespace

std::expected<milliseconds, Error> parse_duration(std::string_view text) {
  constexpr auto remedy = "write 1ms to 24h, as in 50ms, 30s, 2m or 1h";
  std::int64_t number = 0;
  const auto* begin = text.data();
  const auto* end = begin + text.size();
  const auto [unit, error] = std::from_chars(begin, end, number);
  const std::string_view suffix(unit, static_cast<std::size_t>(end - unit));
  const bool is_number = error == std::errc{} && text[0] >= '0' && text[0] <= '9';
  if (!is_number && error != std::errc::result_out_of_range) {
    return std::unexpected(Error{"not a duration", remedy});
  }
  constexpr std::int64_t most = 24 * 3'600 * 1'000;
  const std::int64_t scale = suffix == "ms"  ? 1
                             : suffix == "s" ? 1'000
                             : suffix == "m" ? 60'000
                             : suffix == "h" ? 3'600'000
                                             : 0;
  if (scale == 0) return std::unexpected(Error{"no unit in the time", remedy});
  if (error != std::errc{} || number == 0 || number > most / scale) {
    return std::unexpected(Error{"the duration is out of range", remedy});
  }
  return milliseconds(number * scale);
}

ConfigResult read_config(const std::string& file, std::string_view bytes) {
  ConfigResult reading;
  FaultLog log(file);
  const auto tree = read_yaml(bytes, log);
  if (!is_filled(tree, "write `interfaces: [eth0]`", log)) {
    // It holds nothing.
  } else if (const auto fields = Fields::of(*tree.root, "moat.yaml", config_keys, log)) {
    reading.value = ConfigReader(*fields, log, reading).read();
  }
  reading.faults = log.take();
  if (has_error(reading.faults)) reading.value.reset();
  return reading;
}

}  // namespace moat
