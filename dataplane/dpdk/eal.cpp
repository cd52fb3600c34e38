// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/eal.h"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace moat {
namespace {

// Buffers for packets, and a large table twice with its index: the old and the new one at a swap.
constexpr std::size_t wanted_bytes = std::size_t{192} << 20;
constexpr auto heap_mib = "512";  // without hugepages: of ordinary memory, touched as it is used

std::size_t free_hugepage_bytes() {
  std::size_t bytes = 0;
  std::error_code error;
  const std::string prefix = "hugepages-";
  for (std::filesystem::directory_iterator at("/sys/kernel/mm/hugepages", error), end;
       !error && at != end; at.increment(error)) {
    std::size_t pages = 0;
    std::ifstream(at->path() / "free_hugepages") >> pages;
    const std::string name = at->path().filename();
    if (name.starts_with(prefix)) bytes += pages * std::stoul(name.substr(prefix.size())) * 1024;
  }
  return bytes;
}

// The first lcore only serves moatd: it runs where the kernel has it.
std::string lcores_of(const DpdkSettings& settings) {
  std::string text = fmt::format("0@(0-{})", ::sysconf(_SC_NPROCESSORS_ONLN) - 1);
  for (std::size_t i = 0; i < settings.fast_path.lcores.size(); i++)
    text += fmt::format(",{}@{}", i + 1, settings.fast_path.lcores[i]);
  return text;
}

Result<bool> choose_hugepages(Hugepages wanted) {
  if (wanted == Hugepages::off) return false;
  const std::size_t bytes = free_hugepage_bytes();
  if (bytes >= wanted_bytes) return true;
  if (wanted == Hugepages::automatic) return false;
  return std::unexpected(Error{
      fmt::format("{} MiB of hugepages are free; {} are needed", bytes >> 20, wanted_bytes >> 20),
      fmt::format("sysctl vm.nr_hugepages={}, or `hugepages: auto`", wanted_bytes >> 21)});
}

}  // namespace

Result<Eal> Eal::begin(const DpdkSettings& settings) {
  const auto has_hugepages = choose_hugepages(settings.fast_path.hugepages);
  if (!has_hugepages) return std::unexpected(has_hugepages.error());
  std::vector<std::string> arguments = {"moat-dpdk", "--lcores", lcores_of(settings),
                                        "--no-telemetry", "--log-level=lib.eal:warning"};
  // Nothing is left in a file system when it is killed.
  if (*has_hugepages)
    arguments.emplace_back("--in-memory");
  else
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf", "-m", heap_mib});
  if (is_pci(settings.fast_path.nic))
    arguments.insert(arguments.end(), {"-a", settings.fast_path.nic});
  else
    arguments.insert(arguments.end(), {"--no-pci", "--vdev", settings.fast_path.nic});
  arguments.insert(arguments.end(), settings.eal.begin(), settings.eal.end());

  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  if (rte_eal_init(static_cast<int>(arguments.size()), pointers.data()) < 0)
    return std::unexpected(
        Error{fmt::format("start DPDK: {}", rte_strerror(rte_errno)), "see its words above"});
  return Eal(*has_hugepages);
}

Eal::Eal(Eal&& other) noexcept
    : is_running_(std::exchange(other.is_running_, false)), has_hugepages_(other.has_hugepages_) {}

Eal::~Eal() {
  if (is_running_) rte_eal_cleanup();
}

std::shared_ptr<std::byte> allocate_dpdk(std::size_t bytes) {
  return {static_cast<std::byte*>(rte_malloc("moat", bytes, RTE_CACHE_LINE_SIZE)), rte_free};
}

}  // namespace moat
