// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/rule_edits.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <tuple>

#include "control/daemon/refuse.h"
#include "control/enforce/fit.h"
#include "control/files/agent_files.h"
#include "control/files/database_edit.h"
#include "control/os/atomic_file.h"
#include "control/os/file_io.h"
#include "control/policy/expiry.h"
#include "control/text/input_limits.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

using Kind = Refusal::Kind;

// For what a file says, or would say: the faults tell where and what.
std::unexpected<Refusal> refuse(Kind kind, std::string message, Faults faults) {
  return std::unexpected(Refusal{kind, std::move(message), "", std::move(faults)});
}

// With the words that a file which says `value` gets.
std::unexpected<Refusal> refuse(const Error& error, const std::string& value) {
  return refuse(Kind::invalid, fmt::format("{}: \"{}\"", error.message, value), error.remedy);
}

// Which database a file speaks for; of one too broken to tell, which it last spoke for.
std::string id_of(const EditBasis& basis, const DatabaseFile& file) {
  if (file.reading.id) return *file.reading.id;
  if (basis.enforced == nullptr) return {};
  const auto last = basis.enforced->database_of_file.find(file.path);
  return last == basis.enforced->database_of_file.end() ? std::string() : last->second;
}

// Of databases that a file speaks for, or that are enforced.
std::set<std::string> known_databases(const EditBasis& basis) {
  std::set<std::string> ids;
  for (const auto& file : basis.files.databases) ids.insert(id_of(basis, file));
  if (basis.enforced != nullptr) {
    for (const auto& database : basis.enforced->policy.databases) {
      if (!database.is_placeholder) ids.insert(database.id);
    }
  }
  ids.erase("");
  return ids;
}

std::unexpected<Refusal> refuse_unknown_database(const EditBasis& basis, const std::string& id) {
  const auto known = known_databases(basis);
  return refuse_unknown("database", id, {known.begin(), known.end()}, "moat databases list");
}

// The file that speaks for the database: of several the one that is enforced.
ServiceResult<const DatabaseFile*> find_file(const EditBasis& basis, const std::string& id) {
  const DatabaseFile* found = nullptr;
  const auto* enforced = basis.enforced ? basis.enforced->policy.find(id) : nullptr;
  for (const auto& file : basis.files.databases) {
    if (id_of(basis, file) != id) continue;
    if (found == nullptr || (enforced && enforced->place.file == file.path)) found = &file;
  }
  if (found != nullptr) return found;
  if (const auto& hidden = basis.files.databases_folder) {
    return refuse(Kind::conflict, "the database files cannot be seen", Faults{*hidden});
  }
  if (enforced != nullptr) {
    return refuse(Kind::conflict,
                  fmt::format("no file says anything about database {} any more", id),
                  is_elsewhere(enforced->place.file, basis.files.folders.databases)
                      ? fmt::format("moat.yaml names the folder {} now: move {} there",
                                    basis.files.folders.databases, enforced->place.file)
                      : fmt::format("bring back {}", enforced->place.file));
  }
  return refuse_unknown_database(basis, id);
}

ServiceResult<std::string> choose_database(const EditBasis& basis, const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  const auto ids = known_databases(basis);
  if (ids.empty()) return refuse(Kind::not_found, "there is no database");
  if (ids.size() > 1) {
    return refuse(Kind::invalid, "there are several databases",
                  fmt::format("say which with --database: {}", fmt::join(ids, ", ")));
  }
  return *ids.begin();
}

// What is edited in a file of the agent's is lost when that writes it anew.
ServiceResult<void> check_not_agents(const std::string& path, std::string_view bytes) {
  if (!is_agents(bytes)) return {};
  return refuse(Kind::conflict,
                fmt::format("{} is moat-agent's, which would write over what is edited", path),
                "change it where it comes from: see the fleet of agent.yaml(5), and moat fleet");
}

std::unexpected<Refusal> refuse_unfinished(const DatabaseFile& file) {
  if (file.being_written == BeingWritten::shrunk)
    return refuse(Kind::conflict, fmt::format("{} has become shorter a moment ago", file.path),
                  "try again when it has not changed for 1 s");
  return refuse(Kind::conflict, fmt::format("somebody is writing {}", file.path),
                how_to_find_writer(file.path));
}

ServiceResult<DatabaseText> read_original(const EditBasis& basis, const std::string& wanted) {
  const auto id = choose_database(basis, wanted);
  if (!id) return std::unexpected(id.error());
  const auto file = find_file(basis, *id);
  if (!file) return std::unexpected(file.error());
  const auto& path = (*file)->path;
  if ((*file)->is_being_written()) return refuse_unfinished(**file);
  if (const auto& why = (*file)->unreadable) {
    return refuse(Kind::conflict, path + " cannot be edited", Faults{*why});
  }
  auto bytes = read_linked_file(path, limits::file_bytes);
  if (!bytes) return refuse(Kind::conflict, path + " cannot be edited", Faults{bytes.error()});
  if (auto may = check_not_agents(path, bytes->bytes); !may) return std::unexpected(may.error());
  auto text = read_database_text(path, std::move(bytes->bytes), basis.now);
  if (!text.reading.value) {
    return refuse(Kind::conflict, path + " has errors: mend it first",
                  std::move(text.reading.faults));
  }
  if (text.reading.value->id != *id) {
    return refuse(Kind::conflict, fmt::format("{} has just changed", path), "try again");
  }
  return text;
}

ResolveInput input_of(const EditBasis& basis, const RuleFiles& files) {
  return {files,        basis.mode, basis.enforced, basis.forgotten, {basis.now, basis.known},
          basis.updates};
}

bool is_held_back(const FileStatus& file) { return file.state != FileState::active; }

bool is_held_back_in(const Resolution& resolution, const std::string& path) {
  const auto file = std::ranges::find(resolution.files, path, &FileStatus::path);
  return file != resolution.files.end() && is_held_back(*file);
}

// Which files are held back as it is.
class HeldBefore {
 public:
  explicit HeldBefore(const EditBasis& basis) : input_(input_of(basis, basis.files)) {}

  // Nearly always by what it says, which is quick to tell: whether all fits costs a compilation.
  bool holds(const std::string& path) {
    if (!by_files_) by_files_ = resolve(input_);
    if (is_held_back_in(*by_files_, path)) return true;
    if (!by_fit_) by_fit_ = resolve_to_fit(input_);
    return is_held_back_in(*by_fit_, path);
  }

 private:
  ResolveInput input_;
  std::optional<Resolution> by_files_;
  std::optional<Resolution> by_fit_;
};

// Faults that these files would cause: their own, and those of a file that they would hold back.
Faults faults_caused(const EditBasis& basis, const RuleFiles& edited,
                     const std::set<std::string>& own) {
  const auto after = resolve_to_fit(input_of(basis, edited));
  HeldBefore before(basis);
  Faults caused;
  for (const auto& file : after.files) {
    if (!own.contains(file.path)) {
      if (file.state != FileState::held_back && file.state != FileState::not_guarded) continue;
      if (before.holds(file.path)) continue;
    }
    caused.insert(caused.end(), file.faults.begin(), file.faults.end());
  }
  return caused;
}

Faults faults_caused(const EditBasis& basis, const DatabaseText& edited) {
  RuleFiles files = basis.files;
  const auto own = std::ranges::find(files.databases, edited.file, &DatabaseFile::path);
  if (own != files.databases.end()) own->reading = edited.reading;
  return faults_caused(basis, files, {edited.file});
}

// The plan, if all files would hold with it.
ServiceResult<Edit> check_edit(const EditBasis& basis, const DatabaseText& original,
                               const EditedText& edited) {
  if (!edited) return refuse(Kind::invalid, edited.error().message, edited.error().remedy);
  auto caused = faults_caused(basis, *edited);
  if (has_error(caused)) {
    return refuse(Kind::invalid, "nothing has changed: with this edit the file would have errors",
                  std::move(caused));
  }
  return Edit{Edit::What::replace, original.file, original.bytes, edited->bytes, "", "",
              std::move(caused)};
}

// Nothing: never.
ServiceResult<std::optional<WallTime>> make_expiry(const std::string& wanted,
                                                   const EditBasis& basis) {
  if (wanted.empty() || wanted == never_expires) return std::nullopt;
  const auto expires = parse_expiry(wanted, basis.wall);
  if (!expires) return refuse(expires.error(), wanted);
  if (*expires > basis.now) return *expires;
  return refuse(Kind::invalid,
                fmt::format("the host's clock has been at {}, and a rule that expires before that "
                            "counts as expired",
                            format_time(basis.now)),
                "if the clock is right now, say so with `moat clock reset`");
}

ServiceResult<Rule> make_rule(const NewRule& wanted, const EditBasis& basis) {
  if (!wanted.cidr.empty() + !wanted.managed_range.empty() + !wanted.net_peering.empty() != 1) {
    return refuse(Kind::invalid, "a rule has one source: a CIDR, a managed range or a net peering",
                  "give exactly one of the three");
  }
  Rule rule;
  if (!wanted.cidr.empty()) {
    const auto cidr = parse_prefix(wanted.cidr);
    if (!cidr) return refuse(cidr.error(), wanted.cidr);
    rule.cidr = *cidr;
  }
  rule.managed_range = wanted.managed_range;
  rule.net_peering = wanted.net_peering;
  rule.label = wanted.label;
  const auto expires = make_expiry(wanted.expires, basis);
  if (!expires) return std::unexpected(expires.error());
  rule.expires = *expires;
  return rule;
}

// A source has one rule, and one that has expired keeps its place.
Refusal refuse_expired(const Database& database, const Rule& rule, const NewRule& wanted) {
  return {
      Kind::conflict,
      fmt::format("rule {} names {} already, and expired {}", rule.id, rule.source(),
                  format_time(*rule.expires)),
      fmt::format("give it another end: moat rules set --database {} {} {}", database.id, rule.id,
                  wanted.expires.empty() ? "--no-expires" : "--expires " + wanted.expires),
      {}};
}

Refusal refuse_second(const Database& database, const Rule& rule) {
  return {Kind::invalid,
          fmt::format("rule {} of {} names {} already", rule.id, database.id, rule.source()),
          fmt::format("to change it: moat rules set --database {} {}", database.id, rule.id),
          {}};
}

// What the rule that is there has otherwise: " (it has label \"x\", and no end)"
std::string describe_difference(const Rule& there, const Rule& wanted) {
  std::vector<std::string> parts;
  if (!wanted.label.empty() && there.label != wanted.label) {
    parts.push_back(there.label.empty() ? "no label" : fmt::format("label \"{}\"", there.label));
  }
  if (wanted.expires != there.expires) {
    parts.push_back(there.expires ? fmt::format("its end {}", format_time(*there.expires))
                                  : "no end");
  }
  if (parts.empty()) return "";
  return fmt::format("; it has {}: see moat rules set", fmt::join(parts, " and "));
}

// That nothing is to be done, unless the file is held back: then what it says is not in force.
ServiceResult<Edit> leave(const EditBasis& basis, const DatabaseText& text, std::string rule_id,
                          std::string sentence) {
  auto faults = faults_caused(basis, text);
  if (has_error(faults)) {
    return refuse(Kind::conflict, text.file + " is held back: mend it first", std::move(faults));
  }
  return Edit{Edit::What::replace, text.file,           text.bytes,       text.bytes,
              std::move(rule_id),  std::move(sentence), std::move(faults)};
}

std::string list_rules(const std::vector<const Rule*>& rules) {
  std::vector<std::string> all;
  for (const auto* rule : rules) {
    all.push_back(fmt::format("{} ({}{}{})", rule->id, rule->source(),
                              rule->label.empty() ? "" : ", ", rule->label));
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

std::unexpected<Refusal> refuse_unknown_rule(const DatabaseText& text, const std::string& id) {
  const auto& database = *text.reading.value;
  if (database.find_peering(id) != nullptr) {
    return refuse(Kind::not_found, fmt::format("{} is a net peering, not a rule", id),
                  fmt::format("name the rule that lets it in: --net-peering {}", id));
  }
  return refuse(Kind::not_found, fmt::format("database {} has no rule \"{}\"", database.id, id),
                fmt::format("see `moat rules list --database {}`", database.id));
}

bool has_same_source(const Rule& a, const Rule& b) {
  return a.cidr == b.cidr && a.managed_range == b.managed_range && a.net_peering == b.net_peering;
}

// That `id` names a net peering of the database.
ServiceResult<void> check_peering(const Database& database, const std::string& id) {
  if (database.find_peering(id) != nullptr) return {};
  std::vector<std::string_view> registered;
  for (const auto& peering : database.peerings) registered.push_back(peering.id);
  const auto near = nearest(id, registered);
  return refuse(Kind::not_found,
                fmt::format("database {} has no net peering \"{}\"", database.id, id),
                near.empty() ? fmt::format("see `moat net-peerings list --database {}`, and "
                                           "`moat net-peerings add`",
                                           database.id)
                             : fmt::format("did you mean {}?", near));
}

// The rule with this id, or the only one whose id begins like that.
ServiceResult<const Rule*> find_by_id(const DatabaseText& text, const std::string& id) {
  constexpr std::size_t min_prefix = 4;  // "r-" alone is what a script with an unset variable sends
  std::vector<const Rule*> found;
  for (const auto& rule : text.reading.value->rules) {
    if (rule.id == id) return &rule;
    if (rule.id.starts_with(id)) found.push_back(&rule);
  }
  if (found.empty()) return refuse_unknown_rule(text, id);
  if (id.size() < min_prefix) {
    return refuse(Kind::invalid,
                  fmt::format("\"{}\" is too short for the beginning of a rule's id", id),
                  fmt::format("write {} characters or more, of {}", min_prefix, list_rules(found)));
  }
  if (found.size() > 1) {
    return refuse(Kind::invalid, fmt::format("several rules' ids begin with \"{}\"", id),
                  "write more of the one meant: " + list_rules(found));
  }
  return found.front();
}

// The rule that is named; it belongs to `text`.
ServiceResult<const Rule*> find_rule(const DatabaseText& text, const RuleName& name) {
  if (!name.id.empty()) return find_by_id(text, name.id);
  Rule wanted;
  wanted.managed_range = name.managed_range;
  wanted.net_peering = name.net_peering;
  if (!name.cidr.empty()) {
    const auto cidr = parse_prefix(name.cidr);
    if (!cidr) return refuse(cidr.error(), name.cidr);
    wanted.cidr = *cidr;
  }
  for (const auto& rule : text.reading.value->rules) {
    if (has_same_source(rule, wanted)) return &rule;
  }
  const auto& id = text.reading.value->id;
  return refuse(Kind::not_found, fmt::format("database {} has no rule for {}", id, wanted.source()),
                wanted.cidr ? fmt::format("see `moat why {}`", format_address(wanted.cidr->address))
                            : fmt::format("see `moat rules list --database {}`", id));
}

ServiceResult<void> check_name(const RuleName& name) {
  const auto given = !name.id.empty() + !name.cidr.empty() + !name.managed_range.empty() +
                     !name.net_peering.empty();
  if (given == 1) return {};
  return refuse(Kind::invalid, given == 0 ? "no rule is named" : "a rule is named in several ways",
                "name it by exactly one of its id, its CIDR, its managed range and its net "
                "peering");
}

// The id that `after` has and `before` has not.
std::string new_id(const Database& before, const Database& after) {
  for (const auto& rule : after.rules) {
    if (std::ranges::find(before.rules, rule.id, &Rule::id) == before.rules.end()) return rule.id;
  }
  return {};
}

// Whether the file is sure to speak for another database.
ServiceResult<void> check_other(const EditBasis& basis, const DatabaseFile& file,
                                const std::string& id) {
  if (file.is_being_written()) return refuse_unfinished(file);
  const auto named = id_of(basis, file);
  if (named.empty()) {
    return refuse(Kind::conflict,
                  fmt::format("{} does not tell which database it is about", file.path),
                  "mend the file, or take it away, first");
  }
  if (named != id) return {};
  return refuse(Kind::conflict, fmt::format("{} names database {}", file.path, id),
                "take the file away first");
}

}  // namespace

ServiceResult<void> check_forget(const EditBasis& basis, const std::string& id) {
  const auto* enforced = basis.enforced;
  const bool is_known =
      enforced != nullptr && (enforced->policy.find(id) != nullptr ||
                              std::ranges::find(enforced->placeholders, id, &Placeholder::base) !=
                                  enforced->placeholders.end());
  if (!is_known) return refuse_unknown_database(basis, id);
  if (const auto& hidden = basis.files.databases_folder) {
    return refuse(Kind::conflict,
                  fmt::format("a file in {} may name the database, but: {}", hidden->place.file,
                              hidden->message),
                  hidden->remedy);
  }
  for (const auto& file : basis.files.databases) {
    if (auto other = check_other(basis, file, id); !other) return other;
  }
  return {};
}

ServiceResult<Edit> plan_add_rule(const EditBasis& basis, const NewRule& wanted) {
  const auto rule = make_rule(wanted, basis);
  if (!rule) return std::unexpected(rule.error());
  const auto original = read_original(basis, wanted.database);
  if (!original) return std::unexpected(original.error());
  const auto& database = *original->reading.value;
  if (!rule->net_peering.empty()) {
    if (auto known = check_peering(database, rule->net_peering); !known)
      return std::unexpected(std::move(known.error()));
  }
  const auto there = std::ranges::find_if(
      database.rules, [&](const Rule& each) { return has_same_source(each, *rule); });
  if (there != database.rules.end() && there->is_expired(basis.now)) {
    return std::unexpected(refuse_expired(database, *there, wanted));
  }
  if (there != database.rules.end() && wanted.if_absent) {
    return leave(basis, *original, there->id,
                 fmt::format("rule {} of {} names {} already{}", there->id, database.id,
                             there->source(), describe_difference(*there, *rule)));
  }
  if (there != database.rules.end()) return std::unexpected(refuse_second(database, *there));
  const auto edited = add_rule(*original, *rule);
  auto edit = check_edit(basis, *original, edited);
  if (edit) edit->rule_id = new_id(database, *edited->reading.value);
  return edit;
}

ServiceResult<Edit> plan_set_rule(const EditBasis& basis, const RuleName& name,
                                  const RuleChange& change) {
  if (!change.label && change.expires.empty()) {
    return refuse(Kind::invalid, "nothing is to be set", "give a label, or when it expires");
  }
  if (auto named = check_name(name); !named) return std::unexpected(named.error());
  const auto expires = make_expiry(change.expires, basis);
  if (!expires) return std::unexpected(expires.error());
  const auto original = read_original(basis, name.database);
  if (!original) return std::unexpected(original.error());
  const auto rule = find_rule(*original, name);
  if (!rule) return std::unexpected(rule.error());
  const auto id = (*rule)->id;
  EditedText edited = *original;
  if (change.label) edited = set_label(*edited, id, *change.label);
  if (edited && !change.expires.empty()) edited = set_expiry(*edited, id, *expires);
  if (edited && edited->bytes == original->bytes) {
    return leave(basis, *original, id,
                 fmt::format("rule {} of {} is so already", id, original->reading.value->id));
  }
  auto edit = check_edit(basis, *original, edited);
  if (edit) edit->rule_id = id;
  return edit;
}

ServiceResult<Edit> plan_remove_rule(const EditBasis& basis, const RuleName& name) {
  if (auto named = check_name(name); !named) return std::unexpected(named.error());
  const auto original = read_original(basis, name.database);
  if (!original) return std::unexpected(original.error());
  const auto rule = find_rule(*original, name);
  if (!rule) return std::unexpected(rule.error());
  auto edit = check_edit(basis, *original, remove_rule(*original, (*rule)->id));
  if (edit) edit->rule_id = (*rule)->id;
  return edit;
}

ServiceResult<Edit> plan_add_peering(const EditBasis& basis, const NewNetPeering& wanted) {
  if (wanted.id.empty() || wanted.cidr.empty()) {
    return refuse(Kind::invalid, "a net peering has an id and a CIDR", "give both");
  }
  const auto cidr = parse_prefix(wanted.cidr);
  if (!cidr) return refuse(cidr.error(), wanted.cidr);
  const auto original = read_original(basis, wanted.database);
  if (!original) return std::unexpected(original.error());
  const auto& database = *original->reading.value;
  if (const auto* there = database.find_peering(wanted.id)) {
    return refuse(Kind::invalid,
                  fmt::format("net peering {} of {} is registered already, as {}", there->id,
                              database.id, format_prefix(there->cidr)),
                  fmt::format("to change it, edit {}, or first: moat net-peerings remove "
                              "--database {} {}",
                              database.place.file, database.id, there->id));
  }
  const NetPeering peering{wanted.id, *cidr, wanted.account, wanted.label, {}};
  return check_edit(basis, *original, add_peering(*original, peering));
}

ServiceResult<Edit> plan_remove_peering(const EditBasis& basis, const NetPeeringName& name) {
  const auto original = read_original(basis, name.database);
  if (!original) return std::unexpected(original.error());
  const auto& database = *original->reading.value;
  if (auto known = check_peering(database, name.id); !known)
    return std::unexpected(std::move(known.error()));
  const auto rule = std::ranges::find(database.rules, name.id, &Rule::net_peering);
  if (rule != database.rules.end()) {
    return refuse(
        Kind::conflict,
        fmt::format("rule {}{} lets net peering {} in", rule->id,
                    rule->label.empty() ? "" : fmt::format(" ({})", rule->label), name.id),
        fmt::format("remove the rule first: moat rules remove --database {} {}", database.id,
                    rule->id));
  }
  return check_edit(basis, *original, remove_peering(*original, name.id));
}

ServiceResult<Edit> plan_set_mode(const EditBasis& basis, const std::string& database, Mode mode) {
  const auto original = read_original(basis, database);
  if (!original) return std::unexpected(original.error());
  if (original->reading.value->mode == mode) {
    return leave(basis, *original, "",
                 fmt::format("{} says mode: {} already", original->file, to_string(mode)));
  }
  return check_edit(basis, *original, set_mode(*original, mode));
}

namespace {

// As if the file at `path` said `text`.
void put(RuleFiles& files, const std::string& path, const std::string& text, WallTime now) {
  auto at = std::ranges::lower_bound(files.databases, path, {}, &DatabaseFile::path);
  if (at == files.databases.end() || at->path != path)
    at = files.databases.insert(at, DatabaseFile{path, {}, {}, {}});
  at->reading = read_database(path, text, now);
  at->unreadable.reset();
}

// The files as they would be.
RuleFiles with_files(const RuleFiles& files, const WantedFiles& wanted, WallTime now) {
  RuleFiles changed = files;
  if (wanted.is_all)
    std::erase_if(changed.databases,
                  [&](const DatabaseFile& file) { return !wanted.texts.contains(file.path); });
  for (const auto& [path, text] : wanted.texts) put(changed, path, text, now);
  return changed;
}

// What a file says now, and nothing where there is none.
ServiceResult<std::optional<std::string>> read_now(const std::string& path) {
  auto bytes = read_linked_file(path, limits::file_bytes);
  if (bytes) return std::move(bytes->bytes);
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return std::nullopt;
  return refuse(Kind::conflict, path + " cannot be edited", Faults{bytes.error()});
}

ServiceResult<std::optional<Edit>> plan_file(const std::string& path, const std::string& wanted) {
  const auto now = read_now(path);
  if (!now) return std::unexpected(now.error());
  if (*now == wanted) return std::nullopt;
  if (auto may = check_not_agents(path, now->value_or("")); !may)
    return std::unexpected(may.error());
  return Edit{
      *now ? Edit::What::replace : Edit::What::make, path, now->value_or(""), wanted, "", "", {}};
}

Edit reversed(const Edit& edit) {
  using What = Edit::What;
  const auto what = edit.what == What::make        ? What::take_away
                    : edit.what == What::take_away ? What::bring_back
                                                   : What::replace;
  return {what, edit.path, edit.after, edit.before, "", "", {}};
}

// Beside it, where nobody reads it.
std::string path_when_gone(const std::string& path) {
  const std::filesystem::path whole(path);
  return whole.parent_path() / ("." + whole.filename().string() + ".gone");
}

std::expected<void, WriteError> rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return std::unexpected(WriteError{{describe_errno("rename", from, errno), ""}});
}

std::expected<void, WriteError> write(const Edit& edit) {
  switch (edit.what) {
    case Edit::What::replace:
      return replace_file(edit.path, edit.before, edit.after);
    case Edit::What::make:
      return write_file(edit.path, edit.after, 0644);
    case Edit::What::take_away:
      return rename_file(edit.path, path_when_gone(edit.path));
    case Edit::What::bring_back:
      return rename_file(path_when_gone(edit.path), edit.path);
  }
  return {};
}

}  // namespace

RuleFiles with_edits(const RuleFiles& files, const std::vector<Edit>& edits,
                     const std::string& settings, WallTime now) {
  RuleFiles changed = files;
  for (const auto& edit : edits) {
    if (edit.path == settings) continue;
    if (edit.what == Edit::What::take_away) {
      std::erase_if(changed.databases,
                    [&](const DatabaseFile& file) { return file.path == edit.path; });
    } else {
      put(changed, edit.path, edit.after, now);
    }
  }
  return changed;
}

ServiceResult<FileEdits> plan_files(const EditBasis& basis, const WantedFiles& wanted) {
  std::set<std::string> own;
  for (const auto& [path, text] : wanted.texts) own.insert(path);
  FileEdits plan;
  plan.warnings = faults_caused(basis, with_files(basis.files, wanted, basis.now), own);
  if (has_error(plan.warnings)) {
    return refuse(Kind::invalid,
                  "nothing has changed: with these files something would be held back",
                  std::move(plan.warnings));
  }
  for (const auto& file : basis.files.databases) {
    const bool is_wanted = wanted.texts.contains(file.path);
    if (!is_wanted && !wanted.is_all) continue;
    if (file.is_being_written()) return refuse_unfinished(file);
    if (is_wanted) continue;
    const auto now = read_now(file.path);
    if (!now) return std::unexpected(now.error());
    // The agent's files come and go by the agent.
    if (*now && !is_agents(**now))
      plan.edits.push_back({Edit::What::take_away, file.path, **now, "", "", "", {}});
  }
  for (const auto& [path, text] : wanted.texts) {
    auto edit = plan_file(path, text);
    if (!edit) return std::unexpected(edit.error());
    if (*edit) plan.edits.push_back(std::move(**edit));
  }
  return plan;
}

ServiceResult<std::optional<Edit>> plan_settings(const std::string& path, const std::string& wanted,
                                                 const Config& now) {
  auto reading = read_config(path, wanted);
  if (!reading.value) {
    return refuse(Kind::invalid, "nothing has changed: this moat.yaml has errors",
                  std::move(reading.faults));
  }
  if (reading.value->databases != now.databases ||
      reading.value->managed_ranges != now.managed_ranges) {
    return refuse(Kind::invalid, "this moat.yaml names other folders for rule files",
                  fmt::format("keep databases: {} and managed-ranges: {}", now.databases,
                              now.managed_ranges));
  }
  return plan_file(path, wanted);
}

ServiceResult<void> write_edit(const Edit& edit) {
  if (edit.what == Edit::What::replace && edit.before == edit.after) return {};
  const auto written = write(edit);
  if (written) return {};
  const auto& error = written.error();
  auto kind = Kind::unavailable;
  if (error.kind == WriteError::Kind::changed) kind = Kind::conflict;
  if (error.kind == WriteError::Kind::read_only) kind = Kind::forbidden;
  return refuse(kind, error.message, error.remedy);
}

ServiceResult<void> write_edits(const std::vector<Edit>& edits) {
  for (std::size_t i = 0; i < edits.size(); ++i) {
    auto written = write_edit(edits[i]);
    if (written) continue;
    while (i-- > 0) std::ignore = write_edit(reversed(edits[i]));
    return written;
  }
  return {};
}

void remove_edit_leftovers(const RuleFiles& files) {
  std::set<std::string> folders = {files.folders.databases};
  for (const auto& file : files.databases) {
    std::error_code error;
    const auto real = std::filesystem::canonical(file.path, error);
    if (!error) folders.insert(real.parent_path().string());
  }
  for (const auto& folder : folders) remove_old_leftovers(folder);
}

}  // namespace moat
