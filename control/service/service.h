// SPDX-License-Identifier: BSD-2-Clause
// What the daemon can be asked and told, as data: the one model from which the HTTP API, its JSON,
// the command and the metrics are made. The daemon implements it; control/api calls it on the daemon's
// own thread, so nothing here is concurrent.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/enforce/propagation.h"
#include "control/files/reading.h"
#include "control/history/event.h"
#include "control/history/generation_note.h"
#include "control/policy/policy.h"
#include "control/resolve/resolution.h"
#include "control/service/problem.h"
#include "dataplane/backend.h"
#include "dataplane/error.h"

namespace moat {

using Milliseconds = std::chrono::duration<double, std::milli>;

// Who asks, from the socket's peer credentials; goes to the log with each change.
struct Peer {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
  std::string user;  // as user_name() has it
  // Of which trial the change is a part, by the id that begin_trial() gave; empty: of none.
  std::string trial;
  // Versions, one of which the rules must have for the change to be made, as Service::version()
  // gives them; none: whatever they are.
  std::vector<std::string> versions = {};
  // Nothing is changed, and the answer tells what would be: ChangeView::preview.
  bool is_dry_run = false;
  // PreviewView::basis of the dry run before: the change is refused if something else has changed
  // since. Empty: it is made whatever has.
  std::string basis;
};

struct Counts {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

// A change that is undone unless somebody confirms it in time.
struct TrialView {
  std::string id;  // told to who began it; empty in the status, and where everybody's edits count
  std::uint64_t generation = 0;  // that was enforced before it
  std::string author;
  Milliseconds left{0};
};

// Where moat-agent has a managed range from, and how that goes: see agent_files.h.
struct RangeSourceView {
  using Time = std::chrono::system_clock::time_point;
  std::string range;
  std::string source;           // "https://...", "file PATH", "dns NAME"
  std::string version;          // as the provider tells it; empty: it tells none
  std::optional<Time> fetched;  // the source last said what the list is, or that it is the same
  std::optional<Time> changed;
  std::optional<Time> attempted;
  std::optional<Time> next;
  std::uint64_t max_age = 0;  // s after `fetched`; older is stale
  bool is_stale = false;
  std::uint64_t failures = 0;  // since `fetched`
  std::uint64_t ipv6 = 0;      // entries passed over
  std::string error;           // of the last try; empty: it went well
  std::string note;
};

// The fleet that moat-agent follows.
struct FleetView {
  using Time = std::chrono::system_clock::time_point;
  std::string name;
  std::string store;
  std::uint64_t push = 0;  // whose files are written
  std::int64_t revision = 0;
  std::optional<Time> listed;  // the store last said all there is
  std::uint64_t max_age = 0;
  bool is_stale = false;
  std::string waiting;  // why a later push is not written; empty: there is none
  std::string error;    // of the last try; empty: it went well
  std::vector<std::string> held_back;
};

// moat-agent is asked for a managed range's list; its answer is a later RangeSourceView::attempted.
struct RefreshView {
  std::string range;
  std::chrono::system_clock::time_point asked;
};

struct StatusView {
  std::string version;
  std::uint64_t generation = 0;  // live; 0: nothing is enforced
  std::uint32_t table_bytes = 0;
  std::uint32_t prefixes = 0;
  std::uint32_t databases = 0;
  // False: a generation of an earlier daemon is live, and what it says is not known, as the state
  // is lost or older. Then nothing that is told of databases and rules would be about it.
  bool policy_known = true;
  Mode mode = Mode::enforce;
  bool ready = false;
  std::chrono::system_clock::time_point since;  // of the daemon
  Config settings;                              // moat.yaml as it is in force
  std::vector<InterfaceStatus> interfaces;      // the configured ones, in file order
  struct Backstop {
    bool wanted = false;
    bool at_sockets = false;
    std::string cgroup;  // whose sockets
    std::string not_at;  // why it is not at sockets
    bool before_sockets = false;
    bool before_expected = false;  // kernel and moat.yaml leave a place for it before sockets
    std::string not_before;        // why it is not there
  } backstop;
  // Up, and neither guarded nor trusted, where moat.yaml has no backstop: everybody gets in by
  // them.
  std::vector<std::string> open_interfaces;
  FastPathStatus fast_path;
  // Guarded ports that something listens on in a cgroup that the backstop's does not hold.
  struct OutsideBackstop {
    std::uint16_t port = 0;
    std::string cgroup;  // folder; empty: it is gone
  };
  std::vector<OutsideBackstop> outside_backstop;
  std::vector<FileStatus> files;
  std::optional<Propagation> last;   // latest change enforced
  std::vector<Propagation> pending;  // noticed, not enforced
  Milliseconds bound{120'000};
  std::vector<std::string> placeholders;  // databases closed to all until their file can be used
  std::vector<std::string> shadowed;      // held back, and others guard all their ports
  std::vector<std::string> monitored;     // databases in monitor mode, by their own or the host's
  std::vector<std::string> withdrawn;     // managed ranges kept though withdrawn
  // What has left managed ranges and stays allowed for a while.
  struct HeldDownRange {
    std::string range;
    std::size_t prefixes = 0;
    WallTime until{};  // the last of them
  };
  std::vector<HeldDownRange> held_down;
  std::vector<std::string> guarded_ranges;  // of which a version is held back: too large a change
  std::vector<RangeSourceView> sources;     // that moat-agent asks
  std::optional<FleetView> fleet;           // that it follows
  // Databases that let in half of all addresses or more.
  struct Wide {
    std::string database;
    std::uint64_t addresses = 0;  // that can be a client's
    bool is_all = false;
  };
  std::vector<Wide> wide;
  // Rules in force that have expired, and of the others those that expire within a day.
  std::uint32_t expired_rules = 0;
  std::uint32_t expiring_rules = 0;
  std::optional<TrialView> trial;  // under way
  // The latest time known, where the clock was set back from it and rules stay expired.
  std::optional<WallTime> clock_was_at;
  // All that is wrong, and what else is worth knowing, worst first: what the first sentence, the
  // exit status of `moat status`, metrics and /healthz count. Whoever finds something adds it;
  // add_problems() adds what the members above say, and puts them in order.
  std::vector<Problem> problems;
  std::vector<Problem> notices;
  std::string headline;               // one sentence
  PropagationTimes propagation = {};  // for the metrics: not a member of the JSON
};

enum class RuleState { active, expired, held_back, vanished };

struct RuleView {
  std::string database;
  std::string id;
  std::string type;  // "cidr", "managed-range" or "net-peering"
  std::string source;
  std::string label;
  std::optional<WallTime> expires;
  RuleState state = RuleState::active;
  std::uint32_t prefixes = 1;  // that a managed range stands for
  Counts hits;
  std::optional<std::chrono::system_clock::time_point> last_hit;  // sampled
  Place place;
  std::optional<WallTime> counted_since = {};  // when its hits began to be counted
};

// `no_route`: what the host sends to the peered network leads nowhere.
enum class NetPeeringState { active, no_rule, no_route };

// A peered network that a database's file registers.
struct NetPeeringView {
  std::string database;
  std::string id;
  std::string cidr;
  std::string account;
  std::string label;
  NetPeeringState state = NetPeeringState::active;
  std::string interface;  // by which the route to it leads; empty: there is none
  std::string address;    // of this host, that the route to it has for a source
  Counts hits;            // of the rules that name it, or a network in it
  Place place;
};

// What clients need to know of a database's network, as the host has it now.
struct NetworkView {
  struct Local {
    std::string interface;
    std::string address;
    std::string network;  // "10.0.0.0/24"
  };
  struct Peer {
    std::string net_peering;  // id
    std::string cidr;
    std::string interface;  // as in NetPeeringView
    std::string address;
  };
  std::string database;
  Endpoint endpoint;
  std::vector<Local> addresses;  // at which the host hears it
  std::vector<Peer> peers;
};

// `private_peering`: a private address that the route to some net peering has for a source.
enum class EndpointType { public_address, private_peering };

// An address and port at which a database is reached.
struct EndpointView {
  std::string id;  // stable as long as the four below are: "e-" and 8 hex digits
  std::string database;
  EndpointType type = EndpointType::public_address;
  std::string address;
  std::uint16_t port = 0;  // 0: all
  bool listening = false;
  bool guarded = false;    // by the database's rules, on every way to it
  bool monitored = false;  // what its rules would drop passes
  // Where it is not guarded on every way to it: interfaces by which it is.
  std::vector<std::string> guarded_by = {};
  bool is_open_to_all = false;  // its rules let every address in
};

struct EndpointsView {
  std::vector<EndpointView> endpoints;
  std::vector<std::uint16_t> unguarded_ports;  // that something listens on for other hosts
};

struct DatabaseView {
  std::string id;
  Endpoint endpoint;
  Mode mode = Mode::enforce;
  FileState state = FileState::active;
  bool is_placeholder = false;
  std::string path;
  unsigned rules = 0;
  unsigned peerings = 0;
  Counts allowed;
  Counts dropped;
  std::string version;  // see Service::version()
  struct Expected {
    bool allowed = true;
    Address source{};
    std::string label;
    bool holds = true;
    std::optional<WallTime> ends = {};  // when it no longer will, as what lets it in ends then
    Place place;
  };
  std::vector<Expected> expectations = {};
  Counts monitored = {};  // would have been dropped, and passed in monitor mode
  unsigned expired = 0;   // of its rules
};

struct ManagedRangeView {
  std::string id;
  std::string name;
  std::size_t prefixes = 0;
  std::string digest;  // of the CIDRs, 16 hex digits
  std::string path;
  std::optional<std::chrono::system_clock::time_point> changed;  // its file, for the last time
  bool withdrawn = false;
  std::vector<std::string> used_by;          // database ids
  std::optional<WallTime> enforced_at = {};  // since when this version is; nothing: not known
  std::uint64_t added = 0;                   // prefixes, by it
  std::uint64_t removed = 0;
  std::uint64_t not_held = 0;  // of these, for want of room
  std::uint64_t returned = 0;  // prefixes that came back while held down, in all...
  std::optional<WallTime> returned_since = {};  // ...since then
  struct HeldDownPrefix {
    Prefix prefix;
    WallTime left{};
    WallTime until{};
  };
  std::size_t held_down_prefixes = 0;
  std::vector<HeldDownPrefix> held_down;         // only when one range is asked for; 1,000 at most
  std::optional<HeldVersion> held_version = {};  // by the guard
  std::optional<RangeSourceView> source = {};    // nothing: moat-agent does not keep it
  std::vector<std::string> cidrs;                // only when one range is asked for
  // The same as the daemon has it, for the API to write out: not a member of the JSON.
  std::shared_ptr<const Prefixes> list = {};
};

// Drops that are alike, recent ones: see control/daemon/drop_table.h.
struct DropView {
  std::uint64_t number = 0;  // grows with each change of any
  std::string source;        // IPv4 or IPv6; empty where the frame ends before it
  std::string database;      // empty where it was not known yet
  std::uint16_t port = 0;    // TCP destination, of the last; 0: none was read
  std::string reason;        // of bpf/abi.h
  std::string interface;
  std::uint16_t vlan = 0;  // VID of the outermost tag; 0: none
  bool monitored = false;  // passed all the same
  std::uint64_t packets = 0;
  std::chrono::system_clock::time_point first;
  std::chrono::system_clock::time_point last;
};

struct DropsView {
  std::vector<DropView> drops;    // the newest first
  std::uint64_t next = 0;         // ask since this for what is new then
  std::uint64_t dropped = 0;      // packets on the whole host since the daemon's start
  std::uint64_t unlisted = 0;     // of these, not among the recent drops: too many, or too long ago
  std::uint64_t lost_events = 0;  // that found no room on their way here
};

// Why a source would get what it gets, for one database.
struct WhyView {
  std::string source;
  std::string database;
  bool allowed = false;
  std::string reason;       // of bpf/abi.h
  std::string rule;         // id of the rule that matches, or empty
  std::string rule_source;  // as the file names it
  std::string label;
  std::string prefix;            // the CIDR that matched
  Place place;                   // where the file says so
  std::string detail;            // a sentence: "just outside 192.0.2.64/29 of rule r-...", "matched
                                 // until 2027-..., expired"
  std::uint64_t generation = 0;  // 0: offline
  bool monitored = false;        // a drop would be counted and passed
  std::optional<std::chrono::system_clock::time_point> last_hit;
  std::optional<DropView> last_drop;
  std::optional<bool> table_agrees;  // the live table says the same as the oracle
  // What of its ports another database decides, which has their address.
  struct Elsewhere {
    std::string endpoint;  // "port 5432 of 10.0.0.5"
    std::string database;
    bool allowed = false;
  };
  std::vector<Elsewhere> elsewhere;
  std::optional<WallTime> held_down_until = {};  // the CIDR has left its managed range
  // Of a source that is dropped: the trusted interface to which the route back to it leads.
  std::string trusted_way;
};

struct CountersView {
  struct Reason {
    std::string owner;  // "host", or a database id
    std::string reason;
    bool monitored = false;
    Counts counts;
    bool is_drop =
        false;  // or passed, where `monitored`; false: no rule is asked about such packets
  };
  std::vector<RuleView> rules;
  std::vector<Reason> reasons;  // those that are not zero
  struct Total {
    std::string database;
    Counts allowed;  // with what removed rules had: never falls, until a detach or a boot
    Counts dropped;
    Mode mode = Mode::enforce;
    Counts monitored = {};  // would have been dropped, and passed in monitor mode
  };
  std::vector<Total> totals;
  std::uint64_t lost_events = 0;  // drops that were not told of, as their events found no room
};

// A client that is connected to a guarded port, as it is on the wire.
struct SessionView {
  std::string peer;  // its address
  std::uint16_t peer_port = 0;
  std::string address;  // of this host
  std::uint16_t port = 0;
  std::string database;      // that guards the port; empty: none does
  std::string rule;          // id of the rule that allows the peer; empty: none does
  std::string label;         // of the rule
  bool allowed = false;      // by the rules, in whatever mode; IPv6 has none
  bool monitored = false;    // it may stay in any case, by the mode
  bool exempt = false;       // and by being the host's own, or by a trusted interface
  std::uint64_t socket = 0;  // inode number, by which /proc/PID/fd names it; 0: it is forwarded
  std::optional<Milliseconds> idle;  // since the peer last sent data

  [[nodiscard]] bool may_stay() const { return allowed || exempt; }
};

// Sessions of one peer that a change has ended.
struct EndedView {
  std::string peer;      // its address
  std::string database;  // empty: it is none's any more
  std::uint64_t sessions = 0;
};

// What a change would do, to who is connected and to what is closed.
struct PreviewView {
  // A rule that lets in sessions that would end.
  struct Rule {
    std::string database;
    std::string id;
    std::string source;
    std::string label;
    Counts hits;
    std::optional<std::chrono::system_clock::time_point> last_hit;
    std::uint64_t sessions = 0;  // that it lets in now
    std::uint64_t ending = 0;    // of these
    bool is_in_use = false;      // it had hits in the last minute

    [[nodiscard]] bool is_cut() const { return is_in_use && ending == sessions; }
  };
  std::string basis;               // of the answer: Peer::basis of the change itself
  std::string change;              // "orders: removed 192.0.2.1/32"; empty: no verdict changes
  std::vector<SessionView> ends;   // `rule` and `label`: of the rule that lets it in until then
  std::vector<Rule> rules;         // of those
  std::vector<std::string> opens;  // a sentence for each thing that is closed now
  // It should not be made without somebody's word: something opens, or all sessions of a rule in
  // use would end.
  bool needs_yes = false;
};

// What became of a request for change.
struct ChangeView {
  bool enforced = false;
  std::uint64_t generation = 0;  // 0: none is in force, as after a detach
  Milliseconds took{0};          // from the request, or the file's write, to enforced
  Milliseconds bound{120'000};
  std::string path;     // the file edited, if any
  std::string rule_id;  // added, changed or removed, if any
  std::string why_not;  // when not enforced: the cause; it is retried
  Faults warnings;
  std::uint64_t ended_sessions = 0;         // whose peers are no longer allowed
  std::vector<EndedView> ended;             // by peer and database; 20 at most
  std::string unchanged;                    // a sentence, where the file said all of it already
  bool is_behind = false;                   // this generation is live, but not in the fast path yet
  std::optional<PreviewView> preview = {};  // of a dry run: then nothing of it was done
  std::vector<std::string> closed = {};     // databases that it leaves without a rule in force
  bool is_detached = false;                 // it has ended the guard: nothing is enforced any more
  // Of the databases that it concerns, those in monitor mode: nothing is dropped for them.
  std::vector<std::string> monitored = {};
};

// A generation that was enforced.
struct HistoryView : GenerationNote {
  struct File {
    std::string path;
    std::string text;  // only when one generation is asked for
  };
  std::vector<File> files;  // of databases
};

struct EventsView {
  std::vector<Event> events;  // the oldest first
  std::uint64_t next = 0;     // ask since this for what comes then
};

// A refusal: nothing changed.
struct Refusal {
  // changed: the rules are another version than the one that the change was made for
  enum class Kind {
    invalid,
    not_found,
    conflict,
    forbidden,
    changed,
    unavailable
  } kind = Kind::invalid;
  std::string message;
  std::string remedy;
  Faults faults;  // the same words as `moat check` has for the file
};
template <typename T>
using ServiceResult = std::expected<T, Refusal>;

struct NewRule {
  std::string database;  // empty: the host's only one
  std::string cidr;      // exactly one of this, `managed_range` and `net_peering`
  std::string managed_range;
  std::string label;
  std::string expires;           // as parse_expiry() reads it; empty: never
  bool if_absent = false;        // it is no error that a rule names the source already
  std::string net_peering = {};  // id of one that the database's file registers
};

// Which rule, by its id or its source, exactly one of these. The beginning of an id will do, of 4
// characters or more, if no other rule's begins like that.
struct RuleName {
  std::string database;  // empty: the host's only one
  std::string id;
  std::string cidr;
  std::string managed_range;
  std::string net_peering = {};
};

struct NewNetPeering {
  std::string database;  // empty: the host's only one
  std::string id;
  std::string cidr;
  std::string account;
  std::string label;
};

struct NetPeeringName {
  std::string database;  // empty: the host's only one
  std::string id;
};

// What a rule shall have instead.
struct RuleChange {
  std::optional<std::string> label;  // empty: none; nothing: stays
  std::string expires;               // as parse_expiry() reads it, or "never"; empty: stays
};

inline constexpr std::string_view never_expires = "never";

struct ModeChange {
  std::string mode;  // "enforce" or "monitor"
};

// Which version of a managed range is accepted, by its digest.
struct AcceptedVersion {
  std::string digest;
};

// What a host's files are to say, all at once.
struct NewFiles {
  std::map<std::string, std::string> databases;  // text by file name: "orders.yaml"
  std::optional<std::string> settings;           // moat.yaml; nothing: it stays
};

class Service {
 public:
  virtual ~Service() = default;

  virtual StatusView status() = 0;
  // These nine and version() are refused while StatusView::policy_known is false. `database` empty:
  // all.
  virtual ServiceResult<std::vector<DatabaseView>> databases() = 0;
  virtual ServiceResult<std::vector<RuleView>> rules(const std::string& database) = 0;
  virtual ServiceResult<std::vector<WhyView>> why(const std::string& source,
                                                  const std::string& database) = 0;
  virtual ServiceResult<std::vector<ManagedRangeView>> managed_ranges() = 0;
  virtual ServiceResult<ManagedRangeView> managed_range(const std::string& id) = 0;
  virtual ServiceResult<std::vector<NetPeeringView>> net_peerings(const std::string& database) = 0;
  virtual ServiceResult<std::vector<NetworkView>> network(const std::string& database) = 0;
  virtual ServiceResult<EndpointsView> endpoints(const std::string& database) = 0;
  virtual ServiceResult<CountersView> counters(const std::string& database) = 0;
  // Who is connected to guarded ports now.
  virtual ServiceResult<std::vector<SessionView>> sessions(const std::string& database) = 0;
  // Those that have changed since `since` was DropsView::next; 0: all there are.
  virtual ServiceResult<DropsView> drops(const std::string& database, std::uint64_t since) = 0;

  // Which version the rules of a database have, or all databases: another one once anybody has
  // changed any of it but comments. Counters are no part of it.
  virtual ServiceResult<std::string> version(const std::string& database) = 0;
  // What happened, from number `since` on; 1,000 of them at most.
  virtual ServiceResult<EventsView> events(std::uint64_t since) = 0;

  // The newest first.
  virtual ServiceResult<std::vector<HistoryView>> history() = 0;
  virtual ServiceResult<HistoryView> generation(std::uint64_t generation) = 0;

  // Each edits or reads files, enforces, and answers when the kernel has; or when it is clear that
  // it has not (ChangeView::why_not; the daemon goes on trying).
  virtual ServiceResult<ChangeView> add_rule(const NewRule& rule, const Peer& peer) = 0;
  virtual ServiceResult<ChangeView> set_rule(const RuleName& rule, const RuleChange& change,
                                             const Peer& peer) = 0;
  virtual ServiceResult<ChangeView> remove_rule(const RuleName& rule, const Peer& peer) = 0;
  virtual ServiceResult<ChangeView> add_net_peering(const NewNetPeering& peering,
                                                    const Peer& peer) = 0;
  // Refused while a rule names it.
  virtual ServiceResult<ChangeView> remove_net_peering(const NetPeeringName& peering,
                                                       const Peer& peer) = 0;
  // The mode of one database, in its file.
  virtual ServiceResult<ChangeView> set_mode(const std::string& database, Mode mode,
                                             const Peer& peer) = 0;
  // Enforces a version of a managed range that is held back as it changes too much at once; refused
  // where another version is there by now.
  virtual ServiceResult<ChangeView> accept_range(const std::string& id,
                                                 const AcceptedVersion& version,
                                                 const Peer& peer) = 0;
  // Returns at once: the agent is another process. Refused where it does not keep this range.
  virtual ServiceResult<RefreshView> refresh_range(const std::string& id, const Peer& peer) = 0;
  virtual ServiceResult<ChangeView> forget(const std::string& database, const Peer& peer) = 0;
  virtual ServiceResult<ChangeView> reload(const Peer& peer) = 0;
  // The database files become what they were in that generation. Files of databases that had none
  // then stay.
  virtual ServiceResult<ChangeView> roll_back(std::uint64_t generation, const Peer& peer) = 0;
  // All or nothing. A database whose file is not among them loses it and stays guarded.
  virtual ServiceResult<ChangeView> apply(const NewFiles& files, const Peer& peer) = 0;
  // What is changed from now on is undone after `within` unless confirm() comes first. Edits that
  // belong to no trial are refused meanwhile, unless it is everybody's.
  virtual ServiceResult<TrialView> begin_trial(std::chrono::milliseconds within, bool is_everybodys,
                                               const Peer& peer) = 0;
  virtual ServiceResult<TrialView> confirm(const Peer& peer) = 0;
  // Undoes it now.
  virtual ServiceResult<ChangeView> undo(const Peer& peer) = 0;
  // The host's clock is right now, so that rules expire by it: see expiry_clock.h.
  virtual ServiceResult<ChangeView> reset_clock(const Peer& peer) = 0;
  // Ends the guard: the daemon takes everything off and then exits.
  virtual ServiceResult<ChangeView> detach(const Peer& peer) = 0;
};

}  // namespace moat
