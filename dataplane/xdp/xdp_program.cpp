// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/xdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"
#include "dataplane/xdp/load_failure.h"
#include "xdp.skel.h"

namespace moat {
namespace {

// The object closes what it has open when it goes; what is kept needs a descriptor of its own.
Result<Fd> duplicate(int fd) {
  Fd kept(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!kept) return bpf_failure("keep a map or program open");
  return kept;
}

}  // namespace

void XdpObject::Destroy::operator()(moat_xdp_bpf* object) const { moat_xdp_bpf::destroy(object); }

int find_map(const std::vector<NamedMap>& maps, const std::string& name) {
  const auto found =
      std::find_if(maps.begin(), maps.end(), [&](const NamedMap& map) { return map.name == name; });
  return found == maps.end() ? -1 : found->fd.get();
}

std::string pin_name(const std::string& map) {
  std::string name = map;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

Result<Program> describe_program(Fd fd) {
  Program program;
  program.maps.resize(64);  // the most that a program may use
  bpf_prog_info info = {};
  info.nr_map_ids = static_cast<__u32>(program.maps.size());
  info.map_ids = reinterpret_cast<std::uintptr_t>(program.maps.data());
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) != 0)
    return bpf_failure("ask about an XDP program");
  program.fd = std::move(fd);
  program.id = info.id;
  std::copy(std::begin(info.tag), std::end(info.tag), program.tag.begin());
  program.maps.resize(std::min<std::size_t>(info.nr_map_ids, program.maps.size()));
  return program;
}

Result<Fd> make_version_map(const Version& version) {
  const __u32 key = 0;
  Fd map(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "moat_version", sizeof key, sizeof version, 1, nullptr));
  if (!map || bpf_map_update_elem(map.get(), &key, &version, BPF_ANY) != 0 ||
      bpf_map_freeze(map.get()) != 0)
    return bpf_failure("note the version of the XDP program");
  return map;
}

std::optional<Version> read_version_map(int fd) {
  const __u32 key = 0;
  Version version;
  if (map_value_size(fd) != sizeof version || bpf_map_lookup_elem(fd, &key, &version) != 0)
    return {};
  return version;
}

std::uint64_t XdpObject::digest() {
  std::size_t size = 0;
  const void* bytes = moat_xdp_bpf::elf_bytes(&size);
  return XXH3_64bits(bytes, size);
}

Result<XdpObject> XdpObject::open() {
  const LibbpfLog log;
  XdpObject object;
  object.skeleton_.reset(moat_xdp_bpf::open());
  if (!object.skeleton_) return bpf_failure("open the XDP program");
  return object;
}

std::vector<std::string> XdpObject::map_names() const {
  std::vector<std::string> names;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (!bpf_map__is_internal(map)) names.emplace_back(bpf_map__name(map));
  }
  return names;
}

Result<> XdpObject::reuse(const std::string& name, int fd) {
  bpf_map* map = bpf_object__find_map_by_name(skeleton_->obj, name.c_str());
  bpf_map_info info = {};
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0) return bpf_failure("ask about map " + name);
  if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
      info.value_size != bpf_map__value_size(map) ||
      info.max_entries != bpf_map__max_entries(map) || info.map_flags != bpf_map__map_flags(map))
    return std::unexpected(Error{fmt::format("map {} has another type or size", name), {}});
  if (const int error = bpf_map__reuse_fd(map, fd); error != 0)
    return bpf_failure("use map " + name, error);
  return {};
}

Result<LoadedXdp> XdpObject::load() {
  const LibbpfLog log;
  if (const int error = moat_xdp_bpf::load(skeleton_.get()); error != 0)
    return load_failure("load the XDP program", error, log);

  LoadedXdp loaded;
  auto fd = duplicate(bpf_program__fd(skeleton_->progs.moat_xdp));
  if (!fd) return std::unexpected(fd.error());
  auto program = describe_program(std::move(*fd));
  if (!program) return std::unexpected(program.error());
  loaded.program = std::move(*program);
  for (const auto& name : map_names()) {
    auto map = duplicate(bpf_object__find_map_fd_by_name(skeleton_->obj, name.c_str()));
    if (!map) return std::unexpected(map.error());
    loaded.maps.push_back({name, std::move(*map)});
  }
  skeleton_.reset();
  return loaded;
}

}  // namespace moat
