// SPDX-License-Identifier: BSD-2-Clause
// managed-ranges.d/*.yaml: a list of managed ranges, each with its CIDRs or the name of their file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>

#include "control/files/cidrs_file.h"
#include "control/files/reading.h"
#include "control/text/input_limits.h"
#include "control/yaml/fields.h"

namespace moat {
namespace {

constexpr std::string_view no_cidrs = "write `cidrs: []` for none";

constexpr std::array range_keys = {
    Key{"id", true, "write the managed range's id"},
    Key{"name", false, "leave the key out, or put the text in quotes"},
    Key{"cidrs", false, no_cidrs},
    Key{"cidrs-file", false, "write the name of a file beside this one"},
};

// Only what lies in this file's folder is watched for changes.
std::expected<std::string, Error> parse_path(std::string_view text) {
  const auto remedy = "name a file beside this one, or in a folder there";
  if (text.starts_with('/')) return std::unexpected(Error{"not a relative path", remedy});
  for (auto rest = text;;) {
    const auto slash = rest.find('/');
    if (rest.substr(0, slash) == "..") {
      return std::unexpected(Error{"the path leaves its folder", remedy});
    }
    if (slash == std::string_view::npos) return std::string(text);
    rest.remove_prefix(slash + 1);
  }
}

// A path in the folder of `file`, as a person would open it.
std::string beside(const std::string& file, const std::string& path) {
  const auto slash = file.rfind('/');
  return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
}

class RangesReader {
 public:
  RangesReader(FaultLog& log, const FileReader& open) : log_(log), open_(open) {}

  std::vector<ManagedRange> read(const std::vector<Node>& items) {
    std::vector<ManagedRange> ranges;
    for (const auto& item : items) ranges.push_back(read_range(item));
    return ranges;
  }

  // Faults of the cidrs-files, file by file.
  Faults take_file_faults() { return std::move(file_faults_); }

 private:
  ManagedRange read_range(const Node& item) {
    ManagedRange range;
    range.place = log_.place(item.spot());
    Prefixes cidrs;
    if (const auto fields = Fields::of(item, "a managed range", range_keys, log_)) {
      if (const auto* id = fields->find("id")) range.id = read_new_id(*id);
      if (const auto* name = fields->find("name")) {
        range.name = read_line(*name, "name", 0, limits::label_bytes, log_).value_or("");
      }
      cidrs = read_source(item, *fields);
    }
    warn_about_martians(item.spot(), cidrs);
    range.cidrs = std::make_shared<const Prefixes>(std::move(cidrs));
    return range;
  }

  void warn_about_martians(Spot spot, const Prefixes& cidrs) {
    const auto is_useless = [](const Prefix& cidr) {
      return cidr.length >= 3 && is_martian(cidr.first()) && is_martian(cidr.last());
    };
    const auto first = std::ranges::find_if(cidrs, is_useless);
    if (first == cidrs.end()) return;
    const auto count = std::ranges::count_if(first, cidrs.end(), is_useless);
    log_.warning(spot,
                 count == 1
                     ? std::string("a CIDR never matches: no client has such an address")
                     : fmt::format("{} CIDRs never match: no client has such addresses", count),
                 format_prefix(*first), "take them out");
  }

  std::string read_new_id(const Node& node) {
    auto id = read_id(node, "id", log_).value_or("");
    if (id.empty()) return id;
    const auto [first, is_new] = line_of_id_.emplace(id, node.line);
    if (!is_new) {
      log_.error(node.spot(), "the same managed range twice", id,
                 fmt::format("the first is in line {}", first->second));
    }
    return id;
  }

  Prefixes read_source(const Node& item, const Fields& fields) {
    if (!fields.has("cidrs") && !fields.has("cidrs-file")) {
      log_.error(item.spot(), "the managed range has no CIDRs", {},
                 "write `cidrs: [...]` or `cidrs-file: FILE`");
    }
    if (fields.has("cidrs") && fields.has("cidrs-file")) {
      log_.error(item.spot(), "both `cidrs` and `cidrs-file`", {}, "keep one of them");
      return {};
    }
    if (const auto* cidrs = fields.find("cidrs")) return read_cidrs(*cidrs);
    if (const auto* path = fields.find("cidrs-file")) return read_file(*path);
    return {};
  }

  Prefixes read_cidrs(const Node& node) {
    Prefixes cidrs;
    const auto* items = read_list(node, "cidrs", no_cidrs, log_);
    if (items == nullptr) return cidrs;
    cidrs.reserve(items->size());
    for (const auto& item : *items) {
      if (cidrs.size() == room_) {
        log_.error(item.spot(), fmt::format("more than {} CIDRs in all", limits::prefixes),
                   item.text);
        break;
      }
      const auto cidr = read_parsed(item, "cidrs", parse_prefix, log_);
      if (!cidr) continue;
      cidrs.push_back(*cidr);
      warn_if_everybody(item.spot(), *cidr, log_);
    }
    room_ -= cidrs.size();
    return cidrs;
  }

  Prefixes read_file(const Node& node) {
    if (!read_line(node, "cidrs-file", 1, limits::path_bytes, log_)) return {};
    const auto path = read_parsed(node, "cidrs-file", parse_path, log_);
    if (!path) return {};
    const auto bytes = open_(*path, limits::cidrs_file_bytes);
    if (!bytes) {
      log_.error(node.spot(), fmt::format("the cidrs-file cannot be read: {}", bytes.error()),
                 *path);
      return {};
    }
    FaultLog log(beside(log_.file(), *path));
    auto cidrs = read_cidrs_file(*bytes, room_, log);
    room_ -= cidrs.size();
    if (std::ranges::find(cidrs, Prefix{}) != cidrs.end()) warn_if_everybody({}, Prefix{}, log);
    auto faults = log.take();
    if (cidrs.empty() && !has_error(faults)) {
      log_.error(node.spot(), "the cidrs-file has no CIDR", *path,
                 "write `cidrs: []` instead if nobody is meant");
    }
    std::ranges::move(faults, std::back_inserter(file_faults_));
    return cidrs;
  }

  static void warn_if_everybody(Spot spot, Prefix cidr, FaultLog& log) {
    if (cidr.length != 0) return;
    log.warning(spot, "a rule with this managed range allows every address", "0.0.0.0/0",
                "name the networks that need access");
  }

  FaultLog& log_;
  const FileReader& open_;
  Faults file_faults_;
  std::size_t room_ = limits::prefixes;
  std::map<std::string, unsigned> line_of_id_;
};

}  // namespace

ReadResult<std::vector<ManagedRange>> read_managed_ranges(const std::string& file,
                                                          std::string_view bytes,
                                                          const FileReader& open) {
  ReadResult<std::vector<ManagedRange>> reading;
  FaultLog log(file);
  const auto tree = read_yaml(bytes, log);
  Faults file_faults;
  if (!is_filled(tree, "write `[]` where there are no managed ranges", log)) {
    // It holds nothing.
  } else if (const auto* items =
                 read_list(*tree.root, "the file", "write `- id: ID` and so on", log)) {
    RangesReader reader(log, open);
    reading.value = reader.read(*items);
    file_faults = reader.take_file_faults();
  }
  reading.faults = log.take();
  std::ranges::move(file_faults, std::back_inserter(reading.faults));
  if (has_error(reading.faults)) reading.value.reset();
  return reading;
}

}  // namespace moat
