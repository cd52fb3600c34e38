// SPDX-License-Identifier: BSD-2-Clause
// Has this kernel's verifier look at each of the programs, and tells how much of its patience that
// took: load OBJECT... Needs root.
//
// Objects are files, so that those of other compilers can be tried. Ends with 1 if one is refused,
// or nears the verifier's limit: a change that does so is better seen before another kernel, whose
// verifier has to look twice as often, refuses it.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "dataplane/fd.h"
#include "dataplane/xdp/bpf_error.h"

namespace {

using Object = std::unique_ptr<bpf_object, void (*)(bpf_object*)>;

constexpr std::uint32_t verifier_limit = 1'000'000;
constexpr std::uint32_t near_limit = verifier_limit / 4 * 3;

// Not in the headers of Debian 12's libbpf.
constexpr auto netfilter_program = std::bit_cast<bpf_prog_type>(32u);
constexpr auto netfilter_attach = std::bit_cast<bpf_attach_type>(45u);

bool kernel_has_type(const char* name) {
  const std::unique_ptr<btf, void (*)(btf*)> types(btf__load_vmlinux_btf(), btf__free);
  return types && btf__find_by_name_kind(types.get(), name, BTF_KIND_STRUCT) > 0;
}

// Whether a program that does nothing may look on at that function.
bool may_look_on(const char* function) {
  const std::array<bpf_insn, 2> code = {
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  const int id = libbpf_find_vmlinux_btf_id(function, BPF_TRACE_FENTRY);
  bpf_prog_load_opts options = {};
  options.sz = sizeof options;
  options.expected_attach_type = BPF_TRACE_FENTRY;
  options.attach_btf_id = id > 0 ? static_cast<__u32>(id) : 0;
  const moat::Fd program(
      bpf_prog_load(BPF_PROG_TYPE_TRACING, "look_on", "GPL", code.data(), code.size(), &options));
  return static_cast<bool>(program);
}

// The constant NAME in the object, a byte, as the daemon sets it before loading.
void set_constant(bpf_object* object, const char* name, std::uint8_t value) {
  bpf_map* constants = bpf_object__find_map_by_name(object, ".rodata");
  const btf* types = bpf_object__btf(object);
  const auto section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (!constants || section < 0) return;
  std::size_t bytes = 0;
  auto* memory =
      static_cast<std::uint8_t*>(const_cast<void*>(bpf_map__initial_value(constants, &bytes)));
  const btf_type* type = btf__type_by_id(types, static_cast<__u32>(section));
  for (unsigned i = 0; i < btf_vlen(type); i++) {
    const btf_var_secinfo& variable = btf_var_secinfos(type)[i];
    const btf_type* declared = btf__type_by_id(types, variable.type);
    if (std::strcmp(btf__name_by_offset(types, declared->name_off), name) == 0)
      memory[variable.offset] = value;
  }
}

bool look_at(bpf_program* program, const std::string& object) {
  bpf_prog_info info = {};
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &bytes) != 0) {
    std::printf("%s: %s\n", object.c_str(),
                moat::bpf_failure("ask about it").error().message.c_str());
    return false;
  }
  const bool is_near = info.verified_insns > near_limit;
  std::printf("%s: loaded, %u of %u instructions looked at%s\n", object.c_str(),
              info.verified_insns, verifier_limit, is_near ? ": TOO NEAR THE LIMIT" : "");
  return !is_near;
}

enum class LoadResult { refused, done, failed };

LoadResult try_load(const std::string& path, bool has_all_helpers, const moat::LibbpfLog& log) {
  const std::string name = std::filesystem::path(path).stem().stem();
  const Object object(bpf_object__open_file(path.c_str(), nullptr), bpf_object__close);
  bpf_program* program = object ? bpf_object__next_program(object.get(), nullptr) : nullptr;
  if (!program) {
    std::printf("%s: cannot be read: %s\n", path.c_str(), log.text().c_str());
    return LoadResult::failed;
  }
  if (std::strcmp(bpf_program__section_name(program), "netfilter") == 0) {
    if (!kernel_has_type("bpf_nf_ctx")) {
      std::printf("%s: not here: this kernel has no programs of its kind\n", name.c_str());
      return LoadResult::done;
    }
    bpf_program__set_type(program, netfilter_program);
    bpf_program__set_expected_attach_type(program, netfilter_attach);
  }
  if (const std::string section = bpf_program__section_name(program);
      section.starts_with("fentry/") && !may_look_on(section.c_str() + std::strlen("fentry/"))) {
    std::printf("%s: not here: this kernel lets no program look on at its functions\n",
                name.c_str());
    return LoadResult::done;
  }
  set_constant(object.get(), "has_netns_cookie_helper", has_all_helpers);
  if (bpf_object__load(object.get()) != 0) return LoadResult::refused;
  return look_at(program, name) ? LoadResult::done : LoadResult::failed;
}

// As the daemon does: with the helper that only Linux 6.15 and later have, then without.
bool load(const std::string& path) {
  const moat::LibbpfLog log;
  for (const bool has_all_helpers : {true, false}) {
    const auto outcome = try_load(path, has_all_helpers, log);
    if (outcome != LoadResult::refused) return outcome == LoadResult::done;
  }
  std::printf("%s: refused: %s\n", path.c_str(), log.verifier_lines().c_str());
  return false;
}

}  // namespace

int main(int count, char** arguments) {
  if (geteuid() != 0 || count < 2) {
    std::fprintf(stderr, "load OBJECT..., as root\n");
    return 2;
  }
  bool all = true;
  for (int i = 1; i < count; i++) all &= load(arguments[i]);
  return all ? 0 : 1;
}
