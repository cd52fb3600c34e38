// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/sealed_table.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace moat {
namespace {

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

std::unexpected<Error> refuse(std::string message, std::string remedy = {}) {
  return std::unexpected(Error{std::move(message), std::move(remedy)});
}

Result<> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("write a table to a memfd");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<Fd> seal_table(const Table& table) {
  Fd memfd(::memfd_create("moat-table", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return failed("make a memfd for a table");
  if (auto written = write_all(memfd.get(), table.bytes()); !written)
    return std::unexpected(written.error());
  if (::fcntl(memfd.get(), F_ADD_SEALS, all_seals) != 0) return failed("seal a table");
  return memfd;
}

Result<Table> open_sealed_table(const Fd& memfd) {
  const int seals = ::fcntl(memfd.get(), F_GET_SEALS);
  if (seals < 0) return refuse("no table: its file is not a memfd");
  if ((seals & all_seals) != all_seals)
    return refuse(
        fmt::format("no table: its memfd has seals {:#x}, not all of {:#x}", seals, all_seals));
  struct stat status = {};
  if (::fstat(memfd.get(), &status) != 0) return failed("look at a table");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < sizeof(moat_table) || size > MOAT_TIER_LARGE)
    return refuse(fmt::format("no table: its memfd has {} bytes", size));
  void* base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, memfd.get(), 0);
  if (base == MAP_FAILED) return failed("map a table");
  Table table(std::shared_ptr<const std::byte>(
                  static_cast<const std::byte*>(base),
                  [size](const std::byte* at) { ::munmap(const_cast<std::byte*>(at), size); }),
              size);
  if (auto sound = check_table(table.bytes()); !sound) return std::unexpected(sound.error());
  if (table.header().size != size)
    return refuse(fmt::format("damaged table: says {} bytes of {}", table.header().size, size));
  return table;
}

}  // namespace moat
