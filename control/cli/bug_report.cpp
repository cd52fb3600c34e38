// SPDX-License-Identifier: BSD-2-Clause
// moat bug-report: what somebody needs who looks for the cause of a fault from afar, in one file.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "control/cli/label_hashes.h"
#include "control/cli/outage.h"
#include "control/cli/output.h"
#include "control/os/atomic_file.h"
#include "control/os/run_program.h"

namespace moat {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct ReportOptions {
  std::string output{"moat-bug-report.tar.gz"};
  bool hash_labels = false;
};

constexpr auto program_patience = 20s;

// A file of the report.
struct Part {
  std::string name;
  std::string what;  // a line, for who decides whether to hand it on
  std::string text;
  bool is_missing = false;  // moatd did not tell it: `text` says why
};
using Parts = std::vector<Part>;

std::string read_system_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fmt::format("{}: cannot be read\n", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string output_of(const std::string& program, const std::vector<std::string>& arguments) {
  const auto said = run_program(program, arguments, program_patience);
  return said ? *said : said.error().message + "\n";
}

std::string describe_versions(const Cli& cli) {
  const auto status = Client(cli).status();
  utsname kernel{};
  uname(&kernel);
  return fmt::format("moat {}\n{}\nLinux {} {} {}\n\n{}", MOAT_VERSION,
                     status ? "moatd " + status->version : status.error().refusal.message,
                     kernel.release, kernel.version, kernel.machine,
                     read_system_file("/etc/os-release"));
}

std::string describe_host() {
  return fmt::format("lockdown: {}\nbpf_jit_enable: {}\n\n{}\n{}",
                     read_system_file("/sys/kernel/security/lockdown"),
                     read_system_file("/proc/sys/net/core/bpf_jit_enable"),
                     output_of("ip", {"-details", "-statistics", "link", "show"}),
                     output_of("mount", {"-t", "bpf,cgroup2"}));
}

struct Question {
  const char* path;
  const char* name;
  const char* what;
};
constexpr std::array questions{
    Question{"/v1/status", "status.json", "what is guarded, settings, and what is wrong"},
    Question{"/v1/databases", "databases.json", "the guarded databases and their endpoints"},
    Question{"/v1/rules", "rules.json", "who may reach them: sources, labels, hits"},
    Question{"/v1/managed-ranges", "managed-ranges.json",
             "named lists of networks, not what is in "
             "them"},
    Question{"/v1/counters", "counters.json", "packets and bytes"},
    Question{"/v1/history", "history.json", "what changed when, by whom"}};

// What moatd says, and why it does not answer.
Parts ask_daemon(const Cli& cli, LabelHashes* hashes) {
  std::vector<ClientResult<Document>> answers;
  for (const auto& question : questions) {
    answers.push_back(Client(cli).get(question.path));
    if (hashes != nullptr && answers.back()) hashes->learn(**answers.back());
  }
  Parts parts;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    auto answer =
        answers[i] ? **answers[i] : document({{"error", encode(answers[i].error().refusal)}});
    parts.push_back({questions[i].name,
                     answers[i] ? questions[i].what : "not in it: why is told in its place",
                     dump(hashes != nullptr ? hashes->without(std::move(answer)) : answer)});
    parts.back().is_missing = !answers[i];
  }
  const auto pins = std::string(paths::bpffs);
  if (!answers.front() && cli.socket == paths::socket) {
    const auto& failure = answers.front().error();
    if (const auto guard = look_at_pins(pins))
      parts.push_back({"standing.json", "what of the guard stands in the kernel without moatd",
                       dump(standing_document(
                           *guard, describe_standing(*guard, pins, failure.is_silent), failure))});
  }
  return parts;
}

Parts collect(const Cli& cli, const ReportOptions& options) {
  LabelHashes hashes(fmt::format("{:08x}", std::random_device()()));
  auto parts = ask_daemon(cli, options.hash_labels ? &hashes : nullptr);
  const auto add = [&](const char* name, const char* what, std::string text) {
    parts.push_back({name, what, options.hash_labels ? hashes.without(std::move(text)) : text});
  };
  add("versions.txt", "of moat, moatd, kernel and distribution", describe_versions(cli));
  add("host.txt", "interfaces, lockdown, mounts", describe_host());
  add("log.txt", "moatd's last 1,000 lines in the journal",
      output_of("journalctl",
                {"--unit=moatd", "--lines=1000", "--no-pager", "--output=short-iso-precise"}));
  add("programs.txt", "BPF programs of this host", output_of("bpftool", {"prog", "show"}));
  add("maps.txt", "BPF maps of this host, not what is in them",
      output_of("bpftool", {"map", "show"}));
  add("links.txt", "BPF links of this host", output_of("bpftool", {"link", "show"}));
  add("pins.txt", "what is pinned", output_of("ls", {"-lR", std::string(paths::bpffs)}));
  return parts;
}

std::string list_parts(const Parts& parts, bool are_hashed) {
  std::string text;
  for (const auto& part : parts) text += fmt::format("  {:<20} {}\n", part.name, part.what);
  const auto missing = std::ranges::count(parts, true, &Part::is_missing);
  if (missing == std::ssize(questions)) {
    text += "moatd was not reachable: status, rules, counters and history are not in it.\n";
  } else if (missing > 0) {
    text += "moatd did not tell all of it: see `not in it`.\n";
  }
  text += are_hashed
              ? "Labels are hashed. Addresses and the names of databases, interfaces and users "
                "are in it.\n"
              : "Labels, addresses and the names of databases, interfaces and users are in "
                "it; --hash-labels hides labels.\n";
  return text + "No packets, no rule files, no keys and no passwords are in it.\n";
}

// A folder of this process's own that goes with it.
class Workshop {
 public:
  Workshop() {
    std::string pattern = (fs::temp_directory_path() / "moat-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~Workshop() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }  // empty: none could be made

 private:
  fs::path path_;
};

Result<std::string> pack(const Parts& parts) {
  constexpr auto folder = "moat-bug-report";
  const Workshop workshop;
  if (workshop.path().empty()) return std::unexpected(Error{"no temporary folder can be made", ""});
  const auto home = workshop.path() / folder;
  fs::create_directory(home);
  for (const auto& part : parts) {
    if (auto written = write_file(home / part.name, part.text, 0600, Durability::later); !written)
      return std::unexpected(Error{written.error().message, written.error().remedy});
  }
  return run_program("tar", {"--create", "--gzip", "--directory", workshop.path().string(), folder},
                     program_patience);
}

Exit report_bug(const Cli& cli, const ReportOptions& options) {
  auto parts = collect(cli, options);
  const auto inside = list_parts(parts, options.hash_labels);
  parts.push_back({"README.txt", "", inside});
  const auto packed = pack(parts);
  const auto refused = [&](const Error& error) {
    return fail(cli,
                {Exit::refused, {Refusal::Kind::unavailable, error.message, error.remedy, {}}});
  };
  if (!packed) return refused(packed.error());
  if (const auto written = write_among_others(options.output, *packed, 0600); !written)
    return refused(written.error());
  if (cli.json) {
    Json names = Json::array();
    for (const auto& part : parts) names.push_back(part.name);
    print_json(document({{"file", options.output}, {"contents", std::move(names)}}));
    return Exit::done;
  }
  print_line(options.output);
  tell("In it, for whoever you give it to:");
  write_text(inside, stderr);
  return Exit::done;
}

}  // namespace

Action command::bug_report(Options& options) {
  const auto values = std::make_shared<ReportOptions>();
  options = {{"--output", "FILE", &values->output, "Where it goes"},
             {"--hash-labels", "", &values->hash_labels,
              "Have a word without meaning in the place of each label"}};
  return make_action(values, report_bug);
}

}  // namespace moat
