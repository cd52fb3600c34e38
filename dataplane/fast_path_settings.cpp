// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/fast_path_settings.h"

#include <cctype>
#include <filesystem>
#include <string_view>

namespace moat {
namespace {

constexpr std::string_view pci_form = "xxxx:xx:xx.x";  // x: a hexadecimal digit
constexpr std::string_view interface_key = ",iface=";

// What stands before the first comma, if there is one.
std::string_view before_comma(std::string_view text) { return text.substr(0, text.find(',')); }

}  // namespace

bool is_pci(const std::string& nic) {
  const std::string_view device = before_comma(nic);
  if (device.size() != pci_form.size()) return false;
  for (std::size_t i = 0; i < device.size(); i++) {
    const bool is_digit = std::isxdigit(static_cast<unsigned char>(device[i])) != 0;
    if (pci_form[i] == 'x' ? !is_digit : device[i] != pci_form[i]) return false;
  }
  return true;
}

// A NIC whose driver leaves the kernel its interface (mlx5) has it listed in sysfs.
std::string interface_of(const std::string& nic) {
  if (is_pci(nic)) {
    std::error_code error;
    const auto folder = "/sys/bus/pci/devices/" + std::string(before_comma(nic)) + "/net";
    const std::filesystem::directory_iterator first(folder, error);
    if (error || first == std::filesystem::directory_iterator()) return {};
    return first->path().filename();
  }
  const std::size_t key = nic.find(interface_key);
  if (key == std::string::npos) return {};
  const std::string_view rest = std::string_view(nic).substr(key + interface_key.size());
  return std::string(before_comma(rest));
}

}  // namespace moat
