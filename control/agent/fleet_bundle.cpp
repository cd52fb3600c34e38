// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_bundle.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/agent/fleet_keys.h"
#include "control/files/rule_files.h"
#include "control/policy/json_codec.h"
#include "control/text/input_limits.h"
#include "control/yaml/fields.h"

namespace moat {

namespace {

namespace fs = std::filesystem;

// As it is written.
struct Bundle {
  std::string fleet;
  std::uint64_t serial = 0;
  std::map<std::string, std::string> databases;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> ranges;
};

constexpr std::array removed_keys = {
    Key{"databases", false, "write their ids: `databases: [old]`"},
    Key{"ranges", false, "write their ids: `ranges: [mr-old]`"},
};

using Values = std::map<std::string, std::string>;

}  // namespace

template <>
inline constexpr auto view::members_of<Bundle> = [](auto& v, auto& member) {
  member("fleet", v.fleet)("serial", v.serial)("databases", v.databases)("labels", v.labels)(
      "ranges", v.ranges);
};

namespace {

class FolderReader {
 public:
  FolderReader(std::string folder, Faults& faults) : folder_(std::move(folder)), faults_(faults) {}

  FleetContent read() {
    for (const auto& path : files_in("databases.d", {".yaml", ".yml"})) read_database_at(path);
    for (const auto& path : files_in("ranges", {".txt"})) read_range_at(path);
    read_labels();
    read_removed();
    if (content_.databases.empty())
      fail(folder_ + "/databases.d", "no database file", "is this the fleet's folder?");
    return std::move(content_);
  }

 private:
  void fail(const std::string& file, std::string message, std::string remedy = {}) {
    faults_.push_back({Severity::error, {file, 0, 0}, std::move(message), {}, std::move(remedy)});
  }

  std::vector<fs::path> files_in(const char* name,
                                 std::initializer_list<std::string_view> endings) {
    std::vector<fs::path> paths;
    std::error_code error;
    for (const auto& file : fs::directory_iterator(fs::path(folder_) / name, error)) {
      const auto extension = file.path().extension().string();
      if (!file.path().filename().string().starts_with('.') &&
          std::ranges::find(endings, extension) != endings.end())
        paths.push_back(file.path());
    }
    std::ranges::sort(paths);
    return paths;
  }

  std::optional<std::string> bytes_of(const fs::path& path) {
    auto file = read_regular_file(AT_FDCWD, path, path, limits::file_bytes);
    if (file) return std::move(file->bytes);
    faults_.push_back(file.error());
    return std::nullopt;
  }

  void read_database_at(const fs::path& path) {
    auto bytes = bytes_of(path);
    if (!bytes) return;
    const auto reading = read_database(path, *bytes, WallTime{});
    for (const auto& fault : reading.faults) faults_.push_back(fault);
    if (!reading.value) return;
    if (!content_.databases.emplace(reading.value->id, std::move(*bytes)).second)
      fail(path, fmt::format("another file is about database {} already", reading.value->id));
  }

  void read_range_at(const fs::path& path) {
    auto bytes = bytes_of(path);
    if (!bytes) return;
    const auto id = path.stem().string();
    if (!is_id(id)) return fail(path, "the name of the file is no id", "a-z, 0-9 and . _ -");
    if (const auto good = check_fleet_range(id, *bytes); !good)
      return fail(path, good.error().message, good.error().remedy);
    content_.ranges.emplace(id, std::move(*bytes));
  }

  std::optional<YamlTree> tree_of(const fs::path& path, FaultLog& log) {
    if (!fs::exists(path)) return std::nullopt;
    const auto bytes = bytes_of(path);
    if (!bytes) return std::nullopt;
    auto tree = read_yaml(*bytes, log);
    if (!tree.is_whole || !tree.root) return std::nullopt;
    return tree;
  }

  void take_faults(FaultLog& log) {
    for (auto& fault : log.take()) faults_.push_back(std::move(fault));
  }

  void read_labels() {
    const auto path = fs::path(folder_) / "labels.yaml";
    FaultLog log(path);
    if (const auto tree = tree_of(path, log)) {
      if (!tree->root->is(Node::Kind::map)) {
        log.error({1, 1}, "not a map of databases", {}, "write `orders: [production]`");
      } else {
        for (std::size_t i = 0; i < tree->root->children.size(); i += 2)
          read_label(tree->root->children[i], log);
      }
    }
    take_faults(log);
  }

  void read_label(const Node& key, FaultLog& log) {
    if (!content_.databases.contains(key.text))
      log.error(key.spot(), "no file is about this database", key.text);
    const auto* items = read_list(value_of(key), key.text, "write `[production]`", log);
    if (items == nullptr) return;
    std::string text;
    for (const auto& item : *items) {
      if (const auto label = read_id(item, "label", log)) text += *label + "\n";
    }
    content_.labels[key.text] = text;
  }

  void read_removed() {
    const auto path = fs::path(folder_) / "removed.yaml";
    FaultLog log(path);
    if (const auto tree = tree_of(path, log)) {
      if (const auto fields = Fields::of(*tree->root, "removed.yaml", removed_keys, log)) {
        remove(*fields, "databases", content_.databases, log);
        remove(*fields, "ranges", content_.ranges, log);
      }
    }
    take_faults(log);
  }

  static void remove(const Fields& fields, std::string_view name, Values& values, FaultLog& log) {
    const auto* node = fields.find(name);
    const auto* items = node == nullptr ? nullptr : read_list(*node, name, "write `[old]`", log);
    if (items == nullptr) return;
    for (const auto& item : *items) {
      const auto id = read_id(item, "id", log);
      if (!id) continue;
      if (!values.emplace(*id, tombstone).second)
        log.error(item.spot(), "a file is about it still", *id, "take the file away");
    }
  }

  std::string folder_;
  Faults& faults_;
  FleetContent content_;
};

}  // namespace

std::string to_json(const FleetBundle& bundle) {
  const Bundle written{bundle.fleet, bundle.serial, bundle.content.databases, bundle.content.labels,
                       bundle.content.ranges};
  return view::text_of(written, 1) + "\n";
}

Result<FleetBundle> parse_bundle(std::string_view text) {
  auto bundle = view::read_text<Bundle>(text);
  if (!bundle)
    return std::unexpected(
        Error{"this is not a fleet's bundle: " + bundle.error(), "see moat fleet bundle"});
  for (const auto* values : {&bundle->databases, &bundle->labels, &bundle->ranges}) {
    for (const auto& [id, value] : *values) {
      if (!is_id(id)) return std::unexpected(Error{"the bundle has a name that is no id", ""});
    }
  }
  if (bundle->databases.empty()) return std::unexpected(Error{"the bundle has no database", ""});
  return FleetBundle{
      std::move(bundle->fleet),
      bundle->serial,
      {std::move(bundle->databases), std::move(bundle->labels), std::move(bundle->ranges)}};
}

Result<FleetContent> read_fleet_folder(const std::string& folder, Faults& faults) {
  auto content = FolderReader(folder, faults).read();
  if (has_error(faults))
    return std::unexpected(Error{folder + " has errors: nothing is pushed", "mend them first"});
  return content;
}

}  // namespace moat
