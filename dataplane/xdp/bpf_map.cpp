// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/bpf_map.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#include <cstring>

#include "dataplane/xdp/bpf_error.h"

namespace moat {
namespace {

// Maps, programs and links each have an info of their own; all begin with type and id.
union ObjectInfo {
  bpf_map_info map;
  bpf_prog_info program;
  bpf_link_info link;
};

bpf_map_info map_info(int fd) {
  ObjectInfo info = {};
  __u32 bytes = sizeof info.map;
  if (bpf_obj_get_info_by_fd(fd, &info.map, &bytes) != 0) return {};
  return info.map;
}

Result<std::shared_ptr<std::byte>> map_memory(int fd, std::size_t bytes, int protection) {
  void* memory = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return bpf_failure(fmt::format("mmap a table of {} bytes", bytes));
  return std::shared_ptr<std::byte>(static_cast<std::byte*>(memory),
                                    [bytes](std::byte* p) { ::munmap(p, bytes); });
}

Result<Fd> create_table(std::uint32_t bytes) {
  bpf_map_create_opts options = {};
  options.sz = sizeof options;
  options.map_flags = BPF_F_MMAPABLE;
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "moat_table", sizeof(__u32), bytes, 1, &options));
  if (!map)
    return bpf_failure(fmt::format("the kernel refuses a table of {} KiB", bytes >> 10), errno);
  return map;
}

}  // namespace

std::uint32_t kernel_id(int fd) {
  ObjectInfo info = {};
  __u32 bytes = sizeof info;
  return bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 ? info.map.id : 0;
}

std::uint32_t map_value_size(int fd) { return map_info(fd).value_size; }

Result<Fd> stage_table(const Table& table, std::uint32_t bytes) {
  auto map = create_table(bytes);
  if (!map) return map;
  {
    auto memory = map_memory(map->get(), bytes, PROT_READ | PROT_WRITE);
    if (!memory) return std::unexpected(memory.error());
    std::memcpy(memory->get(), table.bytes().data(), table.bytes().size());
  }  // the kernel freezes no map that somebody has mapped for writing
  if (bpf_map_freeze(map->get()) != 0) return bpf_failure("freeze the new table");

  const auto staged = read_table(map->get());
  if (!staged)
    return std::unexpected(Error{"the staged table reads back wrong: " + staged.error().message,
                                 "check the host's memory"});
  if (staged->header().digest != table.header().digest)
    return std::unexpected(
        Error{"the staged table reads back as another one", "check the host's memory"});
  return map;
}

Result<Table> read_table(int map) {
  const bpf_map_info info = map_info(map);
  if (info.type != BPF_MAP_TYPE_ARRAY || info.max_entries != 1 ||
      !(info.map_flags & BPF_F_MMAPABLE))
    return std::unexpected(Error{"not the map of a table", {}});
  auto memory = map_memory(map, info.value_size, PROT_READ);
  if (!memory) return std::unexpected(memory.error());
  if (auto sound = check_table({memory->get(), info.value_size}); !sound)
    return std::unexpected(sound.error());
  const auto size = reinterpret_cast<const moat_table*>(memory->get())->size;
  return Table(std::move(*memory), size);
}

}  // namespace moat
