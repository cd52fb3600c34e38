// SPDX-License-Identifier: BSD-2-Clause
// moat.yaml: where rules are enforced, and how.
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "control/files/reading.h"
#include "control/yaml/fields.h"

namespace moat {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view no_interface = "write `[]` for none";
constexpr std::size_t max_path_bytes = 4095;

constexpr std::string_view no_cgroup =
    "write the folder of a cgroup, from the root: /sys/fs/cgroup/a";

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
};
constexpr std::array propagation_keys = {
    Key{"bound", false, "write `bound: 120s`"},
    Key{"reconcile", false, "write `reconcile: 30s`"},
    Key{"settle", false, "write `settle: 50ms`"},
};

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
      folder = read_line(*node, name, 1, max_path_bytes, log_).value_or(folder);
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

  void check_together(const Config& config) {
    if (config.databases == config.managed_ranges) {
      const auto* key = fields_.key("databases");
      if (key == nullptr) key = fields_.key("managed-ranges");
      log_.error(key->spot(), "databases and managed ranges share a folder", config.databases,
                 "give each a folder of its own");
    }
    const auto* interfaces = fields_.find("interfaces");
    if (interfaces != nullptr && interfaces->is(Node::Kind::list) && interfaces->children.empty()) {
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
  if (scale == 0) return std::unexpected(Error{"a duration has a unit", remedy});
  if (error != std::errc{} || number == 0 || number > most / scale) {
    return std::unexpected(Error{"the duration is out of range", remedy});
  }
  return milliseconds(number * scale);
}

ConfigResult read_config(const std::string& file, std::string_view bytes) {
  ConfigResult reading;
  FaultLog log(file);
  const auto tree = read_yaml(bytes, log);
  if (!tree.is_whole) {
    // The fault is logged.
  } else if (!tree.root || tree.root->is(Node::Kind::null)) {
    log.error({1, 1}, "the file is empty", {}, "write `interfaces: [eth0]`");
  } else if (const auto fields = Fields::of(*tree.root, "moat.yaml", config_keys, log)) {
    reading.value = ConfigReader(*fields, log, reading).read();
  }
  reading.faults = log.take();
  if (has_error(reading.faults)) reading.value.reset();
  return reading;
}

}  // namespace moat
