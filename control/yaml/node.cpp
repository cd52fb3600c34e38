// SPDX-License-Identifier: BSD-2-Clause
// yaml-cpp tells events (a map starts, a scalar, a map ends) and Builder makes a tree of them. The
// events are the level to work at: yaml-cpp's own tree drops repeated keys and follows aliases.
#include "control/yaml/node.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <unordered_map>
#include <utility>

#include "control/text/check_text.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

// Far above a million CIDRs; keeps a hostile 16 MiB file from taking gigabytes.
constexpr std::size_t max_nodes = 2'000'000;

// Where a bracket could begin a key, as at the start of a line, yaml-cpp reads to the one that
// closes it before it tells of any of it, and keeps some 90 bytes for each of these characters and
// some 180 for the word beside it: 80 MiB for so many commas and words. A hostile 16 MiB file would
// take gigabytes.
constexpr std::size_t max_silent_marks = 300'000;
constexpr std::string_view marks = ",:?[]{}\"'&*!#";

struct Stop {};  // thrown through yaml-cpp once reading on makes no sense

class Builder : public YAML::EventHandler {
 public:
  Builder(const Text& text, FaultLog& log) : text_(text), log_(log) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    if (text_.bytes.substr(static_cast<std::size_t>(mark.pos)).starts_with("---")) {
      log_.error(spot(mark), "a second document starts", {}, "one document a file");
    } else {
      log_.error(spot(mark), "not YAML: something follows what was complete", {},
                 "check the indentation");
    }
    throw Stop{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add(node(mark)); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse_alias(spot(mark));
    auto alias = node(mark);
    alias.kind = Node::Kind::broken;
    add(std::move(alias));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto scalar = node(mark);
    scalar.kind = Node::Kind::scalar;
    scalar.is_plain = tag == "?";
    scalar.text = value;
    refuse_tag(mark, tag, anchor);
    add(std::move(scalar));
  }

  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    log_.error(spot(mark), "anchors are not taken", name, "write it out each time");
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(Node::Kind::list, mark, tag, anchor, style);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(Node::Kind::map, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override {
    mark_repeated_keys(open_.back());
    close();
  }

  void refuse_alias(Spot at) {
    log_.error(at, "aliases are not taken", {}, "write it out, or put it in quotes");
  }

  Spot spot(const YAML::Mark& mark) const {
    const auto skipped = mark.line == 0 ? text_.skipped : 0;
    return {static_cast<unsigned>(mark.line) + 1, static_cast<unsigned>(mark.column) + 1 + skipped};
  }

  // How many yaml-cpp has told of so far.
  [[nodiscard]] std::size_t events() const { return nodes_; }

  // What there is of the tree. Of an unfinished root map, the entries that were complete.
  std::optional<Node> take() {
    if (!root_ && !open_.empty()) {
      auto& root = open_.front();
      if (root.is(Node::Kind::map)) {
        if (root.children.size() % 2 != 0) root.children.pop_back();
        mark_repeated_keys(root);
      }
      root_ = std::move(root);
    }
    return std::move(root_);
  }

 private:
  Node node(const YAML::Mark& mark) {
    const auto at = spot(mark);
    if (++nodes_ > max_nodes) {
      log_.error(at, fmt::format("more than {} values", max_nodes), {},
                 "put large lists into a cidrs-file");
      throw Stop{};
    }
    Node made;
    made.line = at.line;
    made.column = at.column;
    made.offset = static_cast<std::uint32_t>(mark.pos) + text_.skipped;
    return made;
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    if (open_.size() == limits::nesting) {
      log_.error(spot(mark), fmt::format("nested more than {} levels deep", limits::nesting));
      throw Stop{};
    }
    auto made = node(mark);
    made.kind = kind;
    made.is_flow = style == YAML::EmitterStyle::Flow;
    refuse_tag(mark, tag, anchor);
    open_.push_back(std::move(made));
  }

  void close() {
    auto made = std::move(open_.back());
    open_.pop_back();
    add(std::move(made));
  }

  void add(Node made) {
    if (open_.empty()) {
      root_ = std::move(made);
    } else {
      open_.back().children.push_back(std::move(made));
    }
  }

  // yaml-cpp gives "?" for a plain node without tag and "!" for a quoted one, but "!" also where
  // that very tag is written.
  void refuse_tag(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (tag == "?" || tag.empty() || anchor != 0) return;
    const auto pos = static_cast<std::size_t>(mark.pos);
    const bool is_written = pos < text_.bytes.size() && text_.bytes[pos] == '!';
    if (is_written) log_.error(spot(mark), "tags are not taken", tag, "leave it out");
  }

  void mark_repeated_keys(Node& map) {
    std::unordered_map<std::string_view, Node*> first;
    for (std::size_t i = 0; i < map.children.size(); i += 2) {
      auto& key = map.children[i];
      if (key.is(Node::Kind::broken)) continue;
      if (!key.is(Node::Kind::scalar)) {
        log_.error(key.spot(), "a key is not a word", {}, "write `key: value`");
        key.kind = Node::Kind::broken;
        continue;
      }
      const auto [known, is_new] = first.emplace(key.text, &key);
      if (is_new) continue;
      key.is_repeated = known->second->is_repeated = true;
      log_.error(key.spot(), "the key is there twice", key.text,
                 fmt::format("the first is in line {}", known->second->line));
    }
  }

  const Text& text_;
  FaultLog& log_;
  std::vector<Node> open_;  // the maps and lists that have not ended, outermost first
  std::optional<Node> root_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

// Lets yaml-cpp read bytes without copying them first, and stops it where it tells of nothing that
// it reads.
class ByteBuffer : public std::streambuf {
 public:
  ByteBuffer(const Text& text, const Builder& builder, FaultLog& log)
      : text_(text), builder_(builder), log_(log) {
    auto* begin = const_cast<char*>(text.bytes.data());  // only ever read from
    setg(begin, begin, begin + text.bytes.size());
  }

 protected:
  std::streamsize xsgetn(char* to, std::streamsize most) override {
    if (std::exchange(events_, builder_.events()) != builder_.events()) silent_marks_ = 0;
    for (const char* at = gptr(); at != gptr() + std::min(most, egptr() - gptr()); ++at) {
      const bool is_in_line_of_hashes = *at == '#' && previous_ == '#';
      previous_ = *at;
      if (marks.contains(*at) && !is_in_line_of_hashes && ++silent_marks_ > max_silent_marks)
        refuse(at);
    }
    return std::streambuf::xsgetn(to, most);
  }

 private:
  [[noreturn]] void refuse(const char* at) {
    const auto before = text_.bytes.substr(0, static_cast<std::size_t>(at - text_.bytes.data()));
    const auto line = static_cast<std::uint32_t>(std::ranges::count(before, '\n'));
    const auto column = before.size() - (before.rfind('\n') + 1);  // npos + 1 is 0
    log_.error({line + 1, static_cast<unsigned>(column) + 1},
               fmt::format("too much in one pair of brackets: more than {} of {}", max_silent_marks,
                           marks),
               {}, "write a large list one value a line, `- VALUE`, or put it into a cidrs-file");
    throw Stop{};
  }

  const Text& text_;
  const Builder& builder_;
  FaultLog& log_;
  std::size_t events_ = 0;
  std::size_t silent_marks_ = 0;  // marks since the last event
  char previous_ = 0;
};

// yaml-cpp takes %YAML and %TAG, and overlooks any other.
bool refuse_directive(const Text& text, FaultLog& log) {
  unsigned line = 0;
  for (auto rest = text.bytes; !rest.empty();) {
    ++line;
    const auto end = rest.find('\n');
    const auto content = rest.find_first_not_of(" \t\r");
    if (rest[0] == '%') {
      log.error({line, 1}, "directives are not taken", rest.substr(0, end), "leave the line out");
      return true;
    }
    const bool is_empty = content == std::string_view::npos || content >= end;
    if (!is_empty && rest[content] != '#') return false;
    if (end == std::string_view::npos) return false;
    rest.remove_prefix(end + 1);
  }
  return false;
}

std::string_view line_of(std::string_view bytes, std::size_t pos) {
  pos = std::min(pos, bytes.size());
  const auto start = pos == 0 ? 0 : bytes.rfind('\n', pos - 1) + 1;  // npos + 1 is 0
  return bytes.substr(start, bytes.find('\n', start) - start);
}

void report_syntax(const YAML::ParserException& error, const Text& text, Builder& builder,
                   FaultLog& log) {
  const auto at = error.mark.is_null() ? Spot{} : builder.spot(error.mark);
  if (error.msg.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR)) return builder.refuse_alias(at);
  const auto line = error.mark.is_null()
                        ? std::string_view{}
                        : line_of(text.bytes, static_cast<std::size_t>(error.mark.pos));
  const auto indentation = line.substr(0, line.find_first_not_of(" \t"));
  const bool has_tab = indentation.find('\t') != std::string_view::npos;
  log.error(at, fmt::format("not YAML: {}", error.msg), {},
            has_tab ? "indent with spaces, not with tabs" : "check colons, quotes and indentation");
}

}  // namespace

YamlTree read_yaml(std::string_view bytes, FaultLog& log) {
  const auto text = check_text(bytes, limits::file_bytes, log);
  if (!text.is_readable) return {};
  if (refuse_directive(text, log)) return {};
  Builder builder(text, log);
  YamlTree tree;
  try {
    ByteBuffer buffer(text, builder, log);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    tree.is_whole = true;
  } catch (const Stop&) {
    tree.is_whole = false;  // and the fault is logged
  } catch (const YAML::ParserException& error) {
    report_syntax(error, text, builder, log);
  } catch (const YAML::Exception& error) {
    log.error({}, fmt::format("not YAML: {}", error.what()));
  }
  tree.root = builder.take();
  return tree;
}

bool is_filled(const YamlTree& tree, const char* remedy, FaultLog& log) {
  if (!tree.is_whole) return false;  // that is logged
  if (tree.root && !tree.root->is(Node::Kind::null)) return true;
  log.error({1, 1}, "the file is empty", {}, remedy);
  return false;
}

}  // namespace moat
