// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/presets.h"

#include <array>

namespace moat {

std::span<const Preset> presets() {
  static constexpr std::array all = {
      Preset{"aws", "https://ip-ranges.amazonaws.com/ip-ranges.json", ListFormat::aws},
      Preset{"google-cloud", "https://www.gstatic.com/ipranges/cloud.json", ListFormat::google},
      Preset{"google", "https://www.gstatic.com/ipranges/goog.json", ListFormat::google},
      Preset{"azure", "", ListFormat::azure},
      Preset{"github", "https://api.github.com/meta", ListFormat::github},
      Preset{"cloudflare", "https://www.cloudflare.com/ips-v4", ListFormat::text},
      Preset{"cloudflare-api", "https://api.cloudflare.com/client/v4/ips",
             ListFormat::cloudflare_api},
      Preset{"fastly", "https://api.fastly.com/public-ip-list", ListFormat::fastly},
      Preset{"oracle", "https://docs.oracle.com/iaas/tools/public_ip_ranges.json",
             ListFormat::oracle},
      Preset{"linode", "https://geoip.linode.com/", ListFormat::geofeed},
      Preset{"digitalocean", "https://digitalocean.com/geo/google.csv", ListFormat::geofeed},
      Preset{"apple-private-relay", "https://mask-api.icloud.com/egress-ip-ranges.csv",
             ListFormat::geofeed},
  };
  return all;
}

}  // namespace moat
