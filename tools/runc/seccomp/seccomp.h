// SPDX-License-Identifier: Apache-2.0
// What runc calls of libseccomp, as version 2.4.0 declares it: so that runc is built where the library is and its headers are
// not, which is nearly everywhere. Machines with the x86, ARM, RISC-V and LoongArch instruction sets only.
#ifndef RUNC_SECCOMP_H
#define RUNC_SECCOMP_H
#include <elf.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/types.h>
#include <stddef.h>

#define SCMP_VER_MAJOR 2
#define SCMP_VER_MINOR 4
#define SCMP_VER_MICRO 0

#define SCMP_ARCH_NATIVE 0
#define SCMP_ARCH_X86 AUDIT_ARCH_I386
#define SCMP_ARCH_X86_64 AUDIT_ARCH_X86_64
#define SCMP_ARCH_X32 (EM_X86_64 | __AUDIT_ARCH_LE)
#define SCMP_ARCH_ARM AUDIT_ARCH_ARM
#define SCMP_ARCH_AARCH64 AUDIT_ARCH_AARCH64
#define SCMP_ARCH_MIPS AUDIT_ARCH_MIPS
#define SCMP_ARCH_MIPS64 AUDIT_ARCH_MIPS64
#define SCMP_ARCH_MIPS64N32 (EM_MIPS | __AUDIT_ARCH_64BIT | 0x20000000)
#define SCMP_ARCH_MIPSEL AUDIT_ARCH_MIPSEL
#define SCMP_ARCH_MIPSEL64 AUDIT_ARCH_MIPSEL64
#define SCMP_ARCH_MIPSEL64N32 (EM_MIPS | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE | 0x20000000)
#define SCMP_ARCH_RISCV64 AUDIT_ARCH_RISCV64

#define SCMP_ACT_KILL_PROCESS 0x80000000U
#define SCMP_ACT_KILL_THREAD 0x00000000U
#define SCMP_ACT_KILL SCMP_ACT_KILL_THREAD
#define SCMP_ACT_TRAP 0x00030000U
#define SCMP_ACT_ERRNO(x) (0x00050000U | ((x) & 0x0000ffffU))
#define SCMP_ACT_TRACE(x) (0x7ff00000U | ((x) & 0x0000ffffU))
#define SCMP_ACT_LOG 0x7ffc0000U
#define SCMP_ACT_ALLOW 0x7fff0000U

enum scmp_filter_attr {
    SCMP_FLTATR_ACT_DEFAULT = 1,
    SCMP_FLTATR_ACT_BADARCH,
    SCMP_FLTATR_CTL_NNP,
    SCMP_FLTATR_CTL_TSYNC,
    SCMP_FLTATR_API_TSKIP,
    SCMP_FLTATR_CTL_LOG
};
enum scmp_compare { SCMP_CMP_NE = 1, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_MASKED_EQ };

typedef void *scmp_filter_ctx;
typedef uint64_t scmp_datum_t;
struct scmp_version { unsigned int major, minor, micro; };
struct scmp_arg_cmp { unsigned int arg; enum scmp_compare op; scmp_datum_t datum_a, datum_b; };

const struct scmp_version *seccomp_version(void);
unsigned int seccomp_api_get(void);
int seccomp_api_set(unsigned int level);
scmp_filter_ctx seccomp_init(uint32_t action);
int seccomp_reset(scmp_filter_ctx context, uint32_t action);
void seccomp_release(scmp_filter_ctx context);
int seccomp_merge(scmp_filter_ctx context, scmp_filter_ctx from);
uint32_t seccomp_arch_native(void);
int seccomp_arch_exist(const scmp_filter_ctx context, uint32_t arch);
int seccomp_arch_add(scmp_filter_ctx context, uint32_t arch);
int seccomp_arch_remove(scmp_filter_ctx context, uint32_t arch);
int seccomp_load(const scmp_filter_ctx context);
int seccomp_attr_get(const scmp_filter_ctx context, enum scmp_filter_attr attribute, uint32_t *value);
int seccomp_attr_set(scmp_filter_ctx context, enum scmp_filter_attr attribute, uint32_t value);
char *seccomp_syscall_resolve_num_arch(uint32_t arch, int number);
int seccomp_syscall_resolve_name_arch(uint32_t arch, const char *name);
int seccomp_syscall_resolve_name(const char *name);
int seccomp_syscall_priority(scmp_filter_ctx context, int syscall, uint8_t priority);
int seccomp_rule_add_array(scmp_filter_ctx context, uint32_t action, int syscall, unsigned int count, const struct scmp_arg_cmp *arguments);
int seccomp_rule_add_exact_array(scmp_filter_ctx context, uint32_t action, int syscall, unsigned int count, const struct scmp_arg_cmp *arguments);
int seccomp_export_pfc(const scmp_filter_ctx context, int file);
int seccomp_export_bpf(const scmp_filter_ctx context, int file);
#endif
