// SPDX-License-Identifier: BSD-2-Clause
// Lists in JSON. Each format is a row of a table that says by paths where the networks stand and
// what tells them apart. A path is the keys on the way, "*" for any element of a list:
//
//   {"syncToken": "1", "prefixes": [{"ip_prefix": "192.0.2.0/24", "region": "eu-west-3"}]}
//    /syncToken         record /prefixes/*   /prefixes/*/ip_prefix   /prefixes/*/region
//
// Networks wait until the object that they belong to has ended, as what tells whether they are
// meant may stand behind them: first the item (of Oracle's lists, a network with its tags), then
// the record.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "control/agent/list_entries.h"
#include "control/text/input_limits.h"
#include "control/text/nearest.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

struct Field {
  std::string_view selector;
  std::string path;
};

struct Shape {
  std::string what;                   // "an ip-ranges.json of AWS"
  std::vector<std::string> required;  // lists that must be there
  std::vector<std::string> cidrs;
  std::string record = {};  // by whose fields it is selected; empty: each network stands for itself
  std::string item = {};    // the same, inside of a record
  std::vector<Field> fields = {};  // of the record or of the item, by their paths
  std::string version = {};
  std::string success = {};  // must be true
};

Shape shape_of(ListFormat format, const Selection& selection) {
  switch (format) {
    case ListFormat::aws:
      return {.what = "an ip-ranges.json of AWS",
              .required = {"/prefixes"},
              .cidrs = {"/prefixes/*/ip_prefix", "/ipv6_prefixes/*/ipv6_prefix"},
              .record = "/prefixes/*",
              .fields = {{"service", "/prefixes/*/service"},
                         {"region", "/prefixes/*/region"},
                         {"network-border-group", "/prefixes/*/network_border_group"}},
              .version = "/syncToken"};
    case ListFormat::google:
      return {.what = "a cloud.json or goog.json of Google",
              .required = {"/prefixes"},
              .cidrs = {"/prefixes/*/ipv4Prefix", "/prefixes/*/ipv6Prefix"},
              .record = "/prefixes/*",
              .fields = {{"service", "/prefixes/*/service"}, {"region", "/prefixes/*/scope"}},
              .version = "/syncToken"};
    case ListFormat::azure:
      return {.what = "a ServiceTags file of Azure",
              .required = {"/values"},
              .cidrs = {"/values/*/properties/addressPrefixes/*"},
              .record = "/values/*",
              .fields = {{"service", "/values/*/name"}, {"region", "/values/*/properties/region"}},
              .version = "/changeNumber"};
    case ListFormat::oracle:
      return {.what = "a public_ip_ranges.json of Oracle",
              .required = {"/regions"},
              .cidrs = {"/regions/*/cidrs/*/cidr"},
              .record = "/regions/*",
              .item = "/regions/*/cidrs/*",
              .fields = {{"service", "/regions/*/cidrs/*/tags/*"}, {"region", "/regions/*/region"}},
              .version = "/last_updated_timestamp"};
    case ListFormat::cloudflare_api:
      return {.what = "the answer of Cloudflare's API",
              .required = {"/result/ipv4_cidrs"},
              .cidrs = {"/result/ipv4_cidrs/*", "/result/ipv6_cidrs/*"},
              .success = "/success"};
    case ListFormat::fastly:
      return {.what = "a public-ip-list of Fastly",
              .required = {"/addresses"},
              .cidrs = {"/addresses/*", "/ipv6_addresses/*"}};
    default:
      break;
  }
  Shape shape{.what = "GitHub's meta", .required = {}, .cidrs = {}};
  if (const auto services = selection.find("service"); services != selection.end()) {
    for (const auto& service : services->second) {
      shape.required.push_back("/" + service);
      shape.cidrs.push_back("/" + service + "/*");
    }
  }
  return shape;
}

bool is_within(std::string_view path, std::string_view object) {
  return !object.empty() && path.size() > object.size() && path.starts_with(object) &&
         path[object.size()] == '/';
}

class Walker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Walker(const Shape& shape, ListEntries& entries) : shape_(shape), entries_(entries) {}

  bool null() override { return value({}); }
  bool boolean(bool is_true) override {
    if (path_ == shape_.success) is_successful_ = is_true;
    return value({});
  }
  bool number_integer(number_integer_t number) override { return value(std::to_string(number)); }
  bool number_unsigned(number_unsigned_t number) override { return value(std::to_string(number)); }
  bool number_float(number_float_t, const string_t& text) override { return value(text); }
  bool string(string_t& text) override { return value(text); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(false); }
  bool start_array(std::size_t) override {
    if (std::ranges::find(shape_.required, path_) != shape_.required.end()) lists_.insert(path_);
    return open(true);
  }
  bool key(string_t& name) override {
    path_.resize(open_.back().path_size);
    // No key can be taken for a path.
    std::ranges::replace(name, '/', '\x1f');
    path_ += '/';
    path_ += name;
    if (open_.size() == 1 && names_.size() < max_names) names_.insert(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    entries_.fail(fmt::format("byte {}: no JSON", position), "it may have been cut off");
    return false;
  }

  // What can only be told at the end.
  void finish() {
    if (entries_.has_failed()) return;
    for (const auto& path : shape_.required) {
      if (!lists_.contains(path)) return entries_.fail(missing(path.substr(1)), hint(path));
    }
    if (!shape_.success.empty() && !is_successful_)
      entries_.fail("the provider's answer says that it is no success");
  }

 private:
  static constexpr std::size_t max_names = 1024;
  struct Opened {
    bool is_list;
    std::size_t path_size;
  };
  using Values = std::map<std::string_view, ListEntries::Values>;  // by selector

  [[nodiscard]] std::string missing(const std::string& name) const {
    return names_.contains(name)
               ? fmt::format("\"{}\" is no list of networks in {}", name, shape_.what)
               : fmt::format("this is not {}: it has no list \"{}\"", shape_.what, name);
  }
  [[nodiscard]] std::string hint(const std::string& path) const {
    const std::vector<std::string_view> there(names_.begin(), names_.end());
    const auto near = nearest(std::string_view(path).substr(1), there);
    return near.empty() || names_.contains(path.substr(1))
               ? "check the URL and the format"
               : fmt::format("do you mean \"{}\"?", printable(near));
  }

  bool open(bool is_list) {
    if (open_.size() == static_cast<std::size_t>(limits::nesting)) {
      entries_.fail(fmt::format("more than {} levels", limits::nesting));
      return false;
    }
    open_.push_back({is_list, path_.size()});
    if (is_list) path_ += "/*";
    return true;
  }

  // The path is the object's own again.
  bool close() {
    path_.resize(open_.back().path_size);
    const bool was_object = !open_.back().is_list;
    open_.pop_back();
    if (was_object) end(path_);
    return true;
  }

  bool value(const std::string& text) {
    if (path_ == shape_.version) entries_.set_version(text);
    for (const auto& field : shape_.fields) {
      if (path_ != field.path) continue;
      (is_within(path_, shape_.item) ? item_values_ : record_values_)[field.selector].push_back(
          text);
    }
    if (std::ranges::find(shape_.cidrs, path_) == shape_.cidrs.end()) return true;
    return cidr(text);
  }

  bool cidr(const std::string& text) {
    const auto entry = parse_entry(text);
    if (!entry) return entries_.add(text, path_);  // which says why not
    if (!*entry) {
      entries_.count_ipv6();
    } else if (taken_ + record_.size() + item_.size() >= limits::prefixes) {
      entries_.fail(fmt::format("{}: more than {} networks", path_, limits::prefixes));
      return false;
    } else if (is_within(path_, shape_.item)) {
      item_.push_back(**entry);
    } else if (is_within(path_, shape_.record)) {
      record_.push_back(**entry);
    } else {
      entries_.take(**entry);
      ++taken_;
    }
    return true;
  }

  [[nodiscard]] bool is_selected(const std::string& object, Values& values) {
    bool selected = true;
    for (const auto& field : shape_.fields) {
      const bool is_items = is_within(field.path, shape_.item);
      if (is_items == (object == shape_.item))
        selected &= entries_.selects(field.selector, values[field.selector]);
    }
    values.clear();
    return selected;
  }

  void end(const std::string& object) {
    if (!shape_.item.empty() && object == shape_.item) {
      if (is_selected(object, item_values_))
        record_.insert(record_.end(), item_.begin(), item_.end());
      item_.clear();
    } else if (!shape_.record.empty() && object == shape_.record) {
      if (is_selected(object, record_values_)) {
        for (const auto& prefix : record_) entries_.take(prefix);
        taken_ += record_.size();
      }
      record_.clear();
    }
  }

  const Shape& shape_;
  ListEntries& entries_;
  std::string path_;
  std::vector<Opened> open_;
  Values record_values_;
  Values item_values_;
  Prefixes record_;
  Prefixes item_;
  std::size_t taken_ = 0;
  std::set<std::string, std::less<>> lists_;  // paths of those that are required
  std::set<std::string, std::less<>> names_;  // at the top
  bool is_successful_ = false;
};

}  // namespace

Result<ParsedList> parse_json_list(ListFormat format, std::string_view bytes,
                                   const Selection& selection) {
  const auto shape = shape_of(format, selection);
  ListEntries entries(selection);
  Walker walker(shape, entries);
  nlohmann::json::sax_parse(bytes.begin(), bytes.end(), &walker);
  walker.finish();
  return entries.finish();
}

}  // namespace moat
