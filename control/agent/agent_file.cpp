// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/agent_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "control/agent/presets.h"
#include "control/policy/expiry.h"
#include "control/text/fnv1a.h"
#include "control/text/input_limits.h"
#include "control/text/nearest.h"
#include "control/yaml/fields.h"

namespace moat {
namespace {

using std::chrono::seconds;

constexpr std::size_t max_line = 4095;
constexpr seconds min_every{30};
constexpr std::size_t max_names = 253;  // bytes of a DNS name

constexpr std::array file_keys = {
    Key{"moat", false, "write the path of moat.yaml"},
    Key{"managed-ranges", false, "write `- id: mr-aws-paris` and so on"},
    Key{"fleet", false, "write `{name: prod, etcd: [https://etcd1:2379]}`"},
};
constexpr std::array range_keys = {
    Key{"id", true, "write the id that rules name the managed range by"},
    Key{"name", false, "leave the key out, or put the text in quotes"},
    Key{"preset", false, "write the name of a provider: `preset: aws`"},
    Key{"url", false, "write the list's URL, https://..."},
    Key{"file", false, "write the path of the list on this host"},
    Key{"dns", false, "write a name that has A records"},
    Key{"format", false, "write text, geofeed, aws, google, azure, github or another"},
    Key{"service", false, "write one or a list: `service: EC2`"},
    Key{"region", false, "write one or a list: `region: eu-west-3`"},
    Key{"network-border-group", false, "write one or a list"},
    Key{"country", false, "write one or a list: `country: FR`"},
    Key{"city", false, "write one or a list"},
    Key{"every", false, "write `every: 1h`"},
    Key{"max-age", false, "write `max-age: 7d`"},
    Key{"max-bytes", false, "write `max-bytes: 32MiB`"},
    Key{"timeout", false, "write `timeout: 60s`"},
    Key{"ca", false, "write the path of a file with CA certificates"},
    Key{"proxy", false, "write the proxy's URL"},
    Key{"signature", false, "write `{allowed-signers: FILE, identity: NAME}`"},
    Key{"server", false, "write the DNS server's address: `server: 127.0.0.1`"},
    Key{"hold", false, "write `hold: 1h`"},
};
constexpr std::array signature_keys = {
    Key{"allowed-signers", true, "write the path of a file as of ssh-keygen(1)"},
    Key{"identity", true, "write the signer's identity in that file"},
    Key{"url", false, "leave it out where it is the list's URL and .sig"},
};
constexpr std::array fleet_keys = {
    Key{"name", true, "write the fleet's name"},
    Key{"host", false, "leave it out for the host name"},
    Key{"etcd", false, "write the URLs of etcd's members: `etcd: [https://etcd1:2379]`"},
    Key{"url", false, "write the URL of the folder with the index"},
    Key{"ca", false, "write the path of a file with CA certificates"},
    Key{"certificate", false, "write the path of the client's certificate"},
    Key{"key", false, "write the path of the certificate's key"},
    Key{"user", false, "write etcd's user"},
    Key{"password-file", false, "write the path of a file with the user's password"},
    Key{"databases", false, "write their ids: `databases: [orders]`"},
    Key{"labels", false, "write `labels: [production]`"},
    Key{"signature", false, "write `{allowed-signers: FILE, identity: NAME}`"},
    Key{"reconcile", false, "write `reconcile: 60s`"},
    Key{"max-age", false, "write `max-age: 120s`"},
    Key{"socket", false, "write the path of moatd's socket"},
};

std::unexpected<Error> refuse(std::string message, std::string remedy) {
  return std::unexpected(Error{std::move(message), std::move(remedy)});
}

std::expected<seconds, Error> parse_seconds(std::string_view text) {
  const auto length = parse_length(std::string(text));
  if (!length) return refuse("not a length of time", "write it as in 30s, 5m, 12h or 7d");
  return *length;
}

std::expected<seconds, Error> parse_every(std::string_view text) {
  const auto length = parse_seconds(text);
  if (length && *length < min_every)
    return refuse(fmt::format("a source is asked every {} s at most", min_every.count()),
                  "write a longer time");
  return length;
}

std::expected<std::size_t, Error> parse_bytes(std::string_view text) {
  constexpr auto remedy = "write 1KiB to 256MiB, as in 32MiB";
  std::size_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix(unit, static_cast<std::size_t>(end - unit));
  const int shift = suffix == "KiB" ? 10 : suffix == "MiB" ? 20 : 0;
  if (error != std::errc{} || shift == 0) return refuse("not a size", remedy);
  constexpr std::size_t most = std::size_t{256} << 20;
  if (number == 0 || number > most >> shift) return refuse("the size is out of range", remedy);
  return number << shift;
}

std::expected<std::string, Error> parse_https(std::string_view text) {
  if (text.starts_with("https://") && text.size() > 8) return std::string(text);
  return refuse("not an https URL", "lists are fetched by https alone: write https://...");
}

std::expected<std::string, Error> parse_store_url(std::string_view text) {
  const bool is_url = text.starts_with("https://") || text.starts_with("http://");
  const auto rest = text.substr(std::min(text.size(), text.find("://") + 3));
  if (is_url && !rest.empty() && !rest.contains('@') && !rest.contains('?'))
    return std::string(text.ends_with('/') ? text.substr(0, text.size() - 1) : text);
  return refuse("not the URL of a member of etcd", "write https://HOST:2379");
}

std::expected<std::string, Error> parse_dns_name(std::string_view text) {
  const bool is_plain = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
  if (is_plain && !text.empty() && text.size() <= max_names && !text.starts_with('.') &&
      !text.contains("..") && text.contains('.') && !parse_address(text))
    return std::string(text);
  return refuse("not a full DNS name", "write it in full: egress.example.com");
}

std::expected<std::string, Error> parse_path(std::string_view text) {
  if (text.starts_with('/')) return std::string(text);
  return refuse("not an absolute path", "write the path from the root on");
}

// A name that may be part of a key of the store.
std::expected<std::string, Error> parse_name(std::string_view text) {
  const bool is_plain = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
  if (is_plain && !text.empty() && text.size() <= max_names && text.front() != '.')
    return std::string(text);
  return refuse("not a name", "letters, digits, and within it - . _");
}

class Reader {
 public:
  Reader(const Fields& fields, FaultLog& log) : fields_(fields), log_(log) {}

  template <typename Parse, typename T>
  void read(std::string_view name, Parse parse, T& value) {
    if (const auto* node = fields_.find(name))
      value = read_parsed(*node, name, parse, log_).value_or(std::move(value));
  }

  template <typename Parse>
  std::vector<std::string> list(std::string_view name, Parse parse) {
    std::vector<std::string> values;
    const auto* node = fields_.find(name);
    if (node == nullptr) return values;
    if (!node->is(Node::Kind::list)) {
      if (auto value = read_parsed(*node, name, parse, log_)) values.push_back(*value);
      return values;
    }
    for (const auto& item : node->children)
      if (auto value = read_parsed(item, name, parse, log_)) values.push_back(*value);
    if (node->children.empty()) log_.error(node->spot(), fmt::format("`{}` is empty", name));
    return values;
  }

  std::optional<SignatureSettings> signature() {
    const auto* node = fields_.find("signature");
    if (node == nullptr) return std::nullopt;
    const auto inner = Fields::of(*node, "signature", signature_keys, log_);
    if (!inner) return std::nullopt;
    SignatureSettings settings;
    Reader reader(*inner, log_);
    reader.read("allowed-signers", parse_path, settings.allowed_signers);
    reader.read("identity", any, settings.identity);
    reader.read("url", parse_https, settings.url);
    return settings;
  }

  static std::expected<std::string, Error> any(std::string_view text) {
    if (!text.empty() && text.size() <= max_line) return std::string(text);
    return refuse("empty, or too long", "write a text of one line");
  }

 protected:
  const Fields& fields_;
  FaultLog& log_;
};

class RangeReader : public Reader {
 public:
  using Reader::Reader;

  RangeSource source(const Node& item) {
    RangeSource source;
    source.place = log_.place(item.spot());
    if (const auto* id = fields_.find("id")) source.id = read_id(*id, "id", log_).value_or("");
    if (const auto* name = fields_.find("name"))
      source.name = read_line(*name, "name", 0, limits::label_bytes, log_).value_or("");
    const auto preset = read_preset();
    read_from(item, preset, source);
    if (preset) source.format = preset->format;
    read("format", parse_list_format, source.format);
    if (std::holds_alternative<DnsName>(source.from)) source.max_age = std::chrono::hours(24);
    read("every", parse_every, source.every);
    read("max-age", parse_every, source.max_age);
    read("max-bytes", parse_bytes, source.max_bytes);
    read("timeout", parse_seconds, source.timeout);
    if (source.max_age < source.every) {
      log_.error(item.spot(), "the source is asked less often than `max-age` wants it to be fresh",
                 {}, "choose `max-age` well above `every`");
    }
    read_selection(item, source);
    return source;
  }

 private:
  std::optional<Preset> read_preset() {
    const auto* node = fields_.find("preset");
    const auto* name = node == nullptr ? nullptr : read_scalar(*node, "preset", log_);
    if (name == nullptr) return std::nullopt;
    const auto found = std::ranges::find(presets(), *name, &Preset::name);
    if (found != presets().end()) return *found;
    std::vector<std::string_view> names;
    for (const auto& preset : presets()) names.push_back(preset.name);
    const auto near = nearest(*name, names);
    log_.error(node->spot(), "no such preset", *name,
               near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                            : fmt::format("do you mean {}?", near));
    return std::nullopt;
  }

  void read_from(const Node& item, const std::optional<Preset>& preset, RangeSource& source) {
    const int given = fields_.has("url") + fields_.has("file") + fields_.has("dns");
    const bool has_url = preset && !preset->url.empty();
    if (given == 0 && !preset && fields_.has("preset")) return;  // the fault is logged
    if (given > 1 || (given == 0 && !has_url)) {
      log_.error(item.spot(),
                 given > 1 ? "several sources for one managed range"
                 : preset  ? "the address of this provider's list changes: it has no URL of its own"
                           : "the managed range has no source",
                 {}, "write exactly one of `url`, `file` and `dns`, or a `preset` that has a URL");
      return;
    }
    if (fields_.has("dns")) return read_dns(source);
    if (fields_.has("file")) {
      LocalList list;
      read("file", parse_path, list.path);
      source.from = list;
      return check_absent({"ca", "proxy", "signature", "server", "hold"}, "a `file`");
    }
    WebList list;
    if (has_url) list.url = preset->url;
    read("url", parse_https, list.url);
    read("ca", parse_path, list.ca);
    read("proxy", any, list.proxy);
    list.signature = signature();
    source.from = std::move(list);
    check_absent({"server", "hold"}, "a list");
  }

  void read_dns(RangeSource& source) {
    DnsName name;
    read("dns", parse_dns_name, name.name);
    read("server", any, name.server);
    read("hold", parse_every, name.hold);
    source.from = std::move(name);
    source.every = std::chrono::minutes(5);
    check_absent({"preset", "format", "ca", "proxy", "signature", "max-bytes"}, "a DNS name");
  }

  void check_absent(std::initializer_list<std::string_view> names, std::string_view source) {
    for (const auto name : names) {
      if (const auto* key = fields_.key(name))
        log_.error(key->spot(), fmt::format("{} has no `{}`", source, name), {}, "take it out");
    }
  }

  void read_selection(const Node& item, RangeSource& source) {
    const auto selectors = std::holds_alternative<DnsName>(source.from)
                               ? std::vector<std::string_view>{}
                               : selectors_of(source.format);
    for (const std::string_view name :
         {"service", "region", "network-border-group", "country", "city"}) {
      const auto* key = fields_.key(name);
      if (key == nullptr) continue;
      if (std::ranges::find(selectors, name) == selectors.end()) {
        log_.error(key->spot(),
                   fmt::format("this kind of list ({}) has no `{}` to select by",
                               to_string(source.format), name),
                   {},
                   selectors.empty() ? "take it out"
                                     : fmt::format("it has {}", fmt::join(selectors, ", ")));
        continue;
      }
      source.selection.emplace(name, list(name, any));
    }
    if (source.format == ListFormat::github && !source.selection.contains("service")) {
      log_.error(item.spot(), "GitHub publishes many lists at one address", {},
                 "say which: `service: actions`, hooks, web, api, git, ...");
    }
  }
};

class FleetReader : public Reader {
 public:
  using Reader::Reader;

  FleetSettings fleet(const Node& node) {
    FleetSettings fleet;
    read("name", parse_name, fleet.name);
    read("host", parse_name, fleet.host);
    fleet.endpoints = list("etcd", parse_store_url);
    read("url", parse_https, fleet.url);
    read("ca", parse_path, fleet.ca);
    read("certificate", parse_path, fleet.certificate);
    read("key", parse_path, fleet.key);
    read("user", any, fleet.user);
    read("password-file", parse_path, fleet.password_file);
    fleet.databases = list("databases", parse_name);
    fleet.labels = list("labels", parse_name);
    fleet.signature = signature();
    read("reconcile", parse_seconds, fleet.reconcile);
    read("max-age", parse_seconds, fleet.max_age);
    read("socket", parse_path, fleet.socket);
    check(node, fleet);
    return fleet;
  }

 private:
  void check(const Node& node, const FleetSettings& fleet) {
    if (fields_.has("etcd") == fields_.has("url"))
      log_.error(node.spot(), "a fleet has one store", {}, "write exactly one of `etcd` and `url`");
    if (fleet.certificate.empty() != fleet.key.empty())
      log_.error(node.spot(), "a client's certificate and its key belong together", {},
                 "write both `certificate` and `key`");
    if (fleet.user.empty() != fleet.password_file.empty())
      log_.error(node.spot(), "etcd's user and the password belong together", {},
                 "write both `user` and `password-file`");
    if (fleet.max_age < fleet.reconcile)
      log_.error(node.spot(), "`max-age` is below `reconcile`", {},
                 "choose `max-age` twice `reconcile` or more");
  }
};

class FileReading {
 public:
  FileReading(const Fields& fields, FaultLog& log) : fields_(fields), log_(log) {}

  AgentSettings read() {
    AgentSettings settings;
    if (const auto* path = fields_.find("moat"))
      settings.moat_yaml = read_line(*path, "moat", 1, max_line, log_).value_or("");
    if (const auto* ranges = fields_.find("managed-ranges")) read_ranges(*ranges, settings);
    if (const auto* node = fields_.find("fleet")) {
      if (const auto fleet = Fields::of(*node, "a fleet", fleet_keys, log_))
        settings.fleet = FleetReader(*fleet, log_).fleet(*node);
    }
    return settings;
  }

 private:
  void read_ranges(const Node& node, AgentSettings& settings) {
    const auto* items = read_list(node, "managed-ranges", "write `[]` for none", log_);
    if (items == nullptr) return;
    std::map<std::string, unsigned> line_of;
    for (const auto& item : *items) {
      const auto fields = Fields::of(item, "a managed range", range_keys, log_);
      if (!fields) continue;
      auto source = RangeReader(*fields, log_).source(item);
      const auto [first, is_new] = line_of.emplace(source.id, item.line);
      if (!is_new && !source.id.empty()) {
        log_.error(item.spot(), "the same managed range twice", source.id,
                   fmt::format("the first is in line {}", first->second));
      }
      settings.ranges.push_back(std::move(source));
    }
  }

  const Fields& fields_;
  FaultLog& log_;
};

}  // namespace

ReadResult<AgentSettings> read_agent_file(const std::string& file, std::string_view bytes) {
  ReadResult<AgentSettings> reading;
  FaultLog log(file);
  const auto tree = read_yaml(bytes, log);
  if (!is_filled(tree, "write `managed-ranges: []`", log)) {
    // It holds nothing.
  } else if (const auto fields = Fields::of(*tree.root, "agent.yaml", file_keys, log)) {
    reading.value = FileReading(*fields, log).read();
  }
  reading.faults = log.take();
  if (has_error(reading.faults)) reading.value.reset();
  return reading;
}

std::string public_url(std::string_view url) {
  const auto scheme = url.find("://");
  const auto host = scheme == std::string_view::npos ? 0 : scheme + 3;
  auto rest = url.substr(host);
  rest = rest.substr(0, rest.find_first_of("?#"));
  if (const auto at = rest.substr(0, rest.find('/')).rfind('@'); at != std::string_view::npos)
    rest.remove_prefix(at + 1);
  return fmt::format("{}{}", url.substr(0, host), rest);
}

std::string describe_source(const RangeSource& source) {
  if (const auto* list = std::get_if<WebList>(&source.from)) return public_url(list->url);
  if (const auto* list = std::get_if<LocalList>(&source.from)) return "file " + list->path;
  return "dns " + std::get<DnsName>(source.from).name;
}

std::string origin_of(const RangeSource& source) {
  Fnv1a hash;
  const auto add = [&hash](std::string_view text) {
    hash.add(text);
    hash.add('\0');
  };
  if (const auto* list = std::get_if<WebList>(&source.from)) add(list->url);
  if (const auto* list = std::get_if<LocalList>(&source.from)) add(list->path);
  if (const auto* name = std::get_if<DnsName>(&source.from)) add(name->name);
  add(to_string(source.format));
  for (const auto& [selector, values] : source.selection) {
    add(selector);
    for (const auto& value : values) add(value);
    add("");
  }
  return fmt::format("{:016x}", hash.value());
}

}  // namespace moat
