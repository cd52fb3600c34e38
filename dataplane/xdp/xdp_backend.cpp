// SPDX-License-Identifier: BSD-2-Clause
// Three states, told by Kernel::pinned and Kernel::previous:
//
//   adopted    the pins are ours: maps and table of the earlier daemon, and either its program or,
//              where ours differs, our own, which the links got in place at once.
//   new        nothing is pinned. The first publish() pins.
//   take-over  the pins are another version's, or do not belong together. Links keep running what
//              they run, and new ones get the earlier program, until the first publish() has filled
//              our maps; then each link gets our program and the pins are replaced.
#include "dataplane/xdp/xdp_backend.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "dataplane/host/stacked_links.h"
#include "dataplane/pinned.h"
#include "dataplane/xdp/arrivals.h"
#include "dataplane/xdp/backstop_link.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"
#include "dataplane/xdp/bpf_pins.h"
#include "dataplane/xdp/counter_map.h"
#include "dataplane/xdp/drop_ring.h"
#include "dataplane/xdp/own_netns.h"
#include "dataplane/xdp/suppressed_drops.h"
#include "dataplane/xdp/tiers.h"
#include "dataplane/xdp/xdp_adopt.h"
#include "dataplane/xdp/xdp_link.h"
#include "dataplane/xdp/xdp_program.h"

namespace moat {

struct XdpBackend::Kernel {
  explicit Kernel(BpfPins folder) : pins(std::move(folder)), links(pins), backstop(pins) {}

  BpfPins pins;
  XdpLinks links;
  BackstopLink backstop;
  Arrivals arrivals;
  std::vector<NamedMap> maps;
  Tiers tiers;
  Program program;
  Program previous;  // of an earlier daemon, during take-over
  Fd version;
  Fd netns;
  LiveTable table;  // what we know to be live; no map: none
  Table closed;     // the same endpoints, closed to all
  bool pinned = false;
  std::string adoption;
  std::vector<std::string> counted;  // interfaces whose packets another packet path has counted
  std::vector<std::string> mended;   // pins apart: those know for themselves
  std::vector<std::string> swapped;  // interfaces that ran another program when this began

  [[nodiscard]] int counters() const { return find_map(maps, "counters"); }

  Result<> begin();
  Result<> load(XdpObject& object);
  Result<> continue_with(Adopted adopted, XdpObject& object);
  void begin_take_over();
  Result<> finish_take_over(std::size_t tier);
  Result<> replace_programs();
  Result<> prepare_pins();
  Result<> pin_all();
  Result<> find_live();
  Result<> close(const Table& table);
  Result<bool> keep_closed();
};

namespace {

std::unexpected<Error> refused(const BpfPins& pins) { return std::unexpected(*pins.refusal()); }

}  // namespace

// ---- Start ----

Result<> XdpBackend::Kernel::load(XdpObject& object) {
  auto loaded = object.load();
  if (!loaded) return std::unexpected(loaded.error());
  program = std::move(loaded->program);
  maps = std::move(loaded->maps);
  auto noted = make_version_map({XdpObject::digest(), program.tag});
  if (!noted) return std::unexpected(noted.error());
  version = std::move(*noted);
  return {};
}

Result<> XdpBackend::Kernel::begin() {
  const auto here = own_netns();
  if (!here) return std::unexpected(here.error());
  swapped = links.run_by_others();
  netns = pins.get(pin::netns);  // of this namespace, or the pins were refused
  if (!netns || !read_netns_map(netns.get())) {
    auto noted = make_netns_map(*here);
    if (!noted) return std::unexpected(noted.error());
    netns = std::move(*noted);
  }
  auto object = XdpObject::open();
  if (!object) return std::unexpected(object.error());
  auto adopted = adopt(pins, *object);
  if (adopted) return continue_with(std::move(*adopted), *object);

  adoption = adopted.error().message;
  // A table was live once, and a daemon that ends leaves it so.
  const auto is_table = [](const std::string& name) {
    return name.starts_with(pin::table) && name != pin::next_table;
  };
  if (adoption == no_live_table && std::ranges::any_of(pins.list(), is_table))
    mended.emplace_back("the live table was not what it should be");
  object = XdpObject::open();  // without the maps it may have been given
  if (!object) return std::unexpected(object.error());
  if (auto loaded = load(*object); !loaded) return loaded;
  tiers = tiers_of(maps);
  begin_take_over();
  return {};
}

Result<> XdpBackend::Kernel::continue_with(Adopted adopted, XdpObject& object) {
  adoption = "it took over the rules in force";
  if (adopted.version) {
    program = std::move(adopted.program);
    maps = std::move(adopted.maps);
    version = std::move(adopted.version);
  } else {
    adoption +=
        adopted.missing.empty() ? ", with a newer program" : ", but for pins that were missing";
    for (const auto& name : adopted.missing) pins.note_missing(name);
    if (auto loaded = load(object); !loaded) return loaded;
    pins.announce(pin::program, program.fd.get());
  }
  tiers = tiers_of(maps);
  table = std::move(adopted.table);
  pinned = true;
  links.set_program(program.fd.get(), program.id);
  // The guard stands already. What fails of these is tried again and told by ensure_attached(),
  // publish() and ensure_pins().
  std::ignore = replace_programs();
  std::ignore = tiers.clear_above_live();
  if (const auto bytes = read_table(table.map.get())) std::ignore = close(*bytes);
  std::ignore = pin_all();
  return {};
}

Result<> XdpBackend::Kernel::replace_programs() {
  if (auto replaced = links.replace_programs(); !replaced) return replaced;
  for (const auto& name : std::exchange(swapped, {}))
    mended.push_back(fmt::format("interface {} ran another program than Moat's", name));
  return {};
}

void XdpBackend::Kernel::begin_take_over() {
  if (Fd earlier = pins.get(pin::program))
    if (auto described = describe_program(std::move(earlier))) previous = std::move(*described);
  const Program& attached = previous.fd ? previous : program;
  links.set_program(attached.fd.get(), attached.id);
}

// ---- Publishing ----

// Our table is live in our maps by now. It is enforced when every link runs our program, and no
// other one is still at work on a packet.
Result<> XdpBackend::Kernel::finish_take_over(std::size_t tier) {
  links.set_program(program.fd.get(), program.id);
  if (previous.fd) pins.announce(pin::program, program.fd.get());
  if (auto replaced = replace_programs(); !replaced) return replaced;
  if (auto waited = tiers.wait_for_programs(tier, table.map.get()); !waited) return waited;
  previous = {};
  pinned = true;
  return {};
}

Result<> XdpBackend::publish(const Table& table) {
  Kernel& kernel = *kernel_;
  if (auto sound = check_table(table.bytes()); !sound) return sound;
  const auto tier = Tiers::smallest_for(table.bytes().size());
  if (!tier)
    return std::unexpected(Error{fmt::format("a table of {} MiB; at most {} fit",
                                             table.bytes().size() >> 20, MOAT_TIER_LARGE >> 20),
                                 "name fewer prefixes"});
  auto staged = stage_table(table, tier_bytes[*tier]);
  if (!staged) return std::unexpected(staged.error());
  LiveTable next{std::move(*staged), 0, table.header().generation};
  next.id = kernel_id(next.map.get());

  // Pinned before it is live, so that a daemon that adopts it finds it. Without a filesystem to pin
  // on, enforcing goes on all the same: ensure_pins() tells.
  if (kernel.prepare_pins()) std::ignore = kernel.pins.put(pin::next_table, next.map.get());
  if (auto committed = kernel.tiers.commit(*tier, next.map.get()); !committed) {
    kernel.pins.remove(pin::next_table);
    return committed;
  }
  kernel.table = std::move(next);  // the kernel frees the old one behind our back, if nobody has it
  if (!kernel.pinned)
    if (auto taken = kernel.finish_take_over(*tier); !taken) return taken;
  std::ignore = kernel.close(table);
  std::ignore = kernel.pin_all();
  return {};
}

// ---- Reading ----

// Somebody else may have written to the slots, so what is live is looked up.
Result<> XdpBackend::Kernel::find_live() {
  const auto ids = tiers.occupants();
  if (!ids) return std::unexpected(ids.error());
  const auto tier = Tiers::live_of(*ids);
  if (!tier) {
    table = {};
  } else if (const std::uint32_t id = (*ids)[*tier]; table.id != id) {
    LiveTable found{find_table(pins, id), id, 0};
    if (!found.map)
      return std::unexpected(Error{fmt::format("the live table, map {}, is not ours", id),
                                   "publishing again replaces it: moat reload"});
    table = std::move(found);
  }
  return {};
}

Result<Table> XdpBackend::live_table() {
  if (auto found = kernel_->find_live(); !found) return std::unexpected(found.error());
  if (!kernel_->table.map) return Table();
  auto table = read_table(kernel_->table.map.get());
  if (table) kernel_->table.generation = table->header().generation;
  return table;
}

Result<Live> XdpBackend::live() {
  const auto table = live_table();
  if (!table) return std::unexpected(table.error());
  if (!*table) return Live{};
  const moat_table& header = table->header();
  return Live{header.generation, header.digest, header.size};
}

Result<bool> XdpBackend::is_live() {
  const auto ids = kernel_->tiers.occupants();
  if (!ids) return std::unexpected(ids.error());
  const auto tier = Tiers::live_of(*ids);
  return tier && kernel_->table.map && (*ids)[*tier] == kernel_->table.id;
}

Result<std::vector<moat_counter>> XdpBackend::counters() {
  return read_counters(kernel_->counters());
}

Result<> XdpBackend::clear_counters(const std::vector<std::uint32_t>& slots) {
  return moat::clear_counters(kernel_->counters(), slots);
}

Result<std::unique_ptr<DropSource>> XdpBackend::drops() {
  if (auto done = forget_suppressed_drops(find_map(kernel_->maps, "drop_sources")); !done)
    return std::unexpected(done.error());
  auto ring = DropRing::open(find_map(kernel_->maps, "drops"));
  if (!ring) return std::unexpected(ring.error());
  return std::make_unique<DropRing>(std::move(*ring));
}

Result<SuppressedDrops> XdpBackend::suppressed_drops() {
  return read_suppressed_drops(find_map(kernel_->maps, "drop_sources"));
}

Result<std::unordered_map<std::uint64_t, std::uint32_t>> XdpBackend::arrivals() {
  return kernel_->arrivals.read();
}

// ---- Should the slots be emptied ----

Result<> XdpBackend::Kernel::close(const Table& live) {
  auto made = close_to_all(live);
  if (!made) return std::unexpected(made.error());
  closed = std::move(*made);
  if (auto kept = keep_closed(); !kept) return std::unexpected(kept.error());
  return {};
}

// True if the map held something else.
Result<bool> XdpBackend::Kernel::keep_closed() {
  if (!closed) return false;
  const int map = find_map(maps, "policy_closed");
  const __u32 key = 0;
  std::vector<std::byte> value(MOAT_CLOSED_BYTES);
  if (bpf_map_lookup_elem(map, &key, value.data()) != 0)
    return bpf_failure("read the closed table");
  const auto rest = value.begin() + static_cast<std::ptrdiff_t>(closed.bytes().size());
  if (std::equal(value.begin(), rest, closed.bytes().begin()) &&
      std::all_of(rest, value.end(), [](std::byte byte) { return byte == std::byte{}; }))
    return false;
  std::fill(rest, value.end(), std::byte{});
  std::ranges::copy(closed.bytes(), value.begin());
  if (bpf_map_update_elem(map, &key, value.data(), BPF_ANY) != 0)
    return bpf_failure("write the closed table");
  return true;
}

// ---- Pins ----

Result<> XdpBackend::Kernel::prepare_pins() {
  const bool was_usable = pins.is_usable();
  const auto prepared = pins.prepare();
  if (!prepared) return std::unexpected(prepared.error());
  if (!*prepared) return refused(pins);
  if (!was_usable) rename_earlier_pins(pins);
  // What an earlier daemon left there may have been out of reach until now.
  const bool has_more = links.take_over_pinned();
  return has_more && pinned ? replace_programs() : Result<>();
}

Result<> XdpBackend::Kernel::pin_all() {
  if (auto prepared = prepare_pins(); !prepared) return prepared;
  // The namespace first: whoever finds any of the pins finds whose they are.
  std::vector<std::pair<std::string, int>> named = {{pin::netns, netns.get()}};
  for (const auto& map : maps) named.emplace_back(pin_name(map.name), map.fd.get());
  if (auto done = pins.ensure(named); !done) return done;
  if (auto done = keep_table_pin(pins, table); !done) return done;
  // The program last: without it no pin is believed by the next daemon.
  auto done = pins.ensure({{"version", version.get()}, {pin::program, program.fd.get()}});
  if (!done) return done;
  pins.forget_next(pin::program);
  if (done = links.ensure_pins(); !done) return done;
  return backstop.ensure_pins();
}

Result<> XdpBackend::ensure_pins() {
  kernel_->links.forget_lost();  // all that are to have the program have been looked at
  if (!kernel_->pinned) return {};
  if (auto found = kernel_->find_live(); !found) return found;
  const auto closed = kernel_->keep_closed();
  if (!closed) return std::unexpected(closed.error());
  if (*closed) kernel_->mended.emplace_back("the map policy-closed held another table");
  return kernel_->pin_all();
}

Result<> XdpBackend::check_pins_last() const { return kernel_->pins.check_lasting(); }

std::vector<std::string> XdpBackend::pin_problems() const { return kernel_->pins.problems(); }

PinIds XdpBackend::pinned() const { return kernel_->pins.to_expect(); }

std::vector<std::string> XdpBackend::take_mended() {
  auto told = kernel_->pins.take_mended();
  std::ranges::move(std::exchange(kernel_->mended, {}), std::back_inserter(told));
  return told;
}

// ---- Interfaces ----

InterfaceStatus XdpBackend::ensure_attached(const std::string& interface, WantedAttach wanted) {
  const bool is_judged = kernel_->backstop.is_on();
  const auto ensure = [&] {
    return kernel_->links.ensure(interface, wanted, kernel_->pinned, is_judged);
  };
  auto status = ensure();
  // What holds another program there may be a link of ours that has come within reach.
  if (status.mode == AttachMode::none && status.program_id != 0 && kernel_->prepare_pins())
    status = ensure();
  if (status.is_attached() && kernel_->links.take_lost(interface))
    kernel_->mended.push_back(
        fmt::format("interface {} was without Moat's program when moatd started, which was taken "
                    "off it or went with the interface that had the name before",
                    interface));
  return status;
}

InterfaceStatus XdpBackend::inspect(const std::string& interface) {
  return kernel_->links.inspect(interface);
}

std::vector<std::string> XdpBackend::attached_interfaces() { return kernel_->links.interfaces(); }

Result<> XdpBackend::detach(const std::string& interface) {
  return kernel_->links.detach(interface);
}

// ---- Backstop ----

namespace {

// What the backstop is to know: whose packets have been counted, and whose are not judged.
Result<KnownInterfaces> know_interfaces(const std::vector<std::string>& counted_by_name,
                                        const std::vector<std::string>& trusted) {
  const auto links = list_links();
  if (!links) return std::unexpected(links.error());
  const auto named = by_name(*links);
  std::set<std::uint32_t> counted;
  for (const auto& name : counted_by_name)
    if (const auto link = named.find(name); link != named.end())
      counted.insert(link->second->ifindex);
  KnownInterfaces known;
  for (const auto ifindex : with_stacked(*links, std::move(counted)))
    known[ifindex].flags |= MOAT_INTERFACE_XDP;
  for (const auto& name : trusted)
    if (const auto link = named.find(name); link != named.end())
      known[link->second->ifindex].flags |= MOAT_INTERFACE_TRUSTED;
  for (const auto& link : *links)
    if (const auto entry = known.find(link.ifindex); entry != known.end())
      link.name.copy(entry->second.name, sizeof entry->second.name - 1);
  return known;
}

}  // namespace

BackstopStatus XdpBackend::ensure_backstop(const std::string& cgroup,
                                           const std::vector<std::string>& trusted) {
  if (!kernel_->pinned) return BackstopStatus::off("nothing is enforced yet");
  auto counted = kernel_->links.interfaces();
  counted.insert(counted.end(), kernel_->counted.begin(), kernel_->counted.end());
  return kernel_->backstop.ensure(kernel_->maps, cgroup, know_interfaces(counted, trusted));
}

void XdpBackend::leave_counted(const std::vector<std::string>& interfaces) {
  kernel_->counted = interfaces;
}

void XdpBackend::remove_backstop() { kernel_->backstop.remove(); }

Result<> XdpBackend::detach_all() {
  kernel_->pinned = false;
  kernel_->backstop.remove();
  if (auto detached = kernel_->links.detach_all(); !detached) return detached;
  return kernel_->pins.remove_all();
}

const std::string& XdpBackend::adoption() const { return kernel_->adoption; }

// ---- Life ----

Result<std::unique_ptr<XdpBackend>> XdpBackend::open(const std::string& bpffs, PinIds earlier) {
  const BpfPins pins(bpffs);
  pins.expect(std::move(earlier));
  const auto prepared = pins.prepare();
  if (prepared && !*prepared) return refused(pins);
  // Without pins it guards all the same: ensure_pins() tells.
  rename_earlier_pins(pins);
  auto kernel = std::make_unique<Kernel>(pins);
  if (auto begun = kernel->begin(); !begun) return std::unexpected(begun.error());
  if (!prepared) kernel->adoption = prepared.error().message;
  return std::unique_ptr<XdpBackend>(new XdpBackend(std::move(kernel)));
}

XdpBackend::XdpBackend(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
XdpBackend::~XdpBackend() = default;

}  // namespace moat
