// SPDX-License-Identifier: BSD-2-Clause
// What was enforced before: for each generation who changed what and when, and the database files
// as they were then.
//
//   STATE/history/00000000000000000018.json   one generation
//                 texts/HASH-SIZE             a file's bytes, once for all generations that had them
//
// The texts of a generation come first, then the generation, then what is too old goes: whatever a
// crash of moatd leaves, each generation that is there is whole. Nobody waits until it is on disk:
// a power cut may take the generations of its last seconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/history/generation_note.h"
#include "dataplane/error.h"

namespace moat {

using FileBytesPtr = std::shared_ptr<const std::string>;

// A rule file with what it says, or said.
struct FileText {
  std::string path;
  FileBytesPtr bytes;  // never null in what History gives
};

struct HistoryEntry : GenerationNote {
  std::vector<FileText> files;  // of databases, by path
};

struct HistoryLimits {
  std::size_t entries = 100;
  std::size_t bytes = std::size_t{64} << 20;  // of all texts together
};

class History {
 public:
  // Reads what the folder has; what cannot be read there is told by problems(), and is none.
  explicit History(std::string folder, HistoryLimits limits = {});

  // Errors: the disk takes nothing, or the folder is another user's. Nothing is lost then but this
  // entry.
  [[nodiscard]] Result<> add(const HistoryEntry& entry);

  // The newest first, with paths and without bytes.
  [[nodiscard]] std::vector<HistoryEntry> list() const;
  // With bytes. Error: a text cannot be read, or is not what it was.
  [[nodiscard]] Result<std::optional<HistoryEntry>> find(std::uint64_t generation) const;
  [[nodiscard]] Result<std::optional<HistoryEntry>> latest() const;

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

  // As it is kept: texts by their names.
  struct Text {
    std::string path;
    std::string name;
  };
  struct Record : GenerationNote {
    std::vector<Text> texts;
  };

 private:
  void load();
  [[nodiscard]] Result<std::string> keep(const std::string& bytes) const;
  [[nodiscard]] Result<HistoryEntry> complete(const Record& record) const;
  void prune();
  void remove_unused_texts() const;
  [[nodiscard]] std::string path_of(std::uint64_t generation) const;
  [[nodiscard]] std::string texts() const { return folder_ + "/texts"; }

  std::string folder_;
  HistoryLimits limits_;
  std::map<std::uint64_t, Record> records_;
  std::vector<std::string> problems_;
};

}  // namespace moat
