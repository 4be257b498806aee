/* A plugin for qemu 7.2: counts the instructions a program executes, and writes the counts at each mark.
 *
 * A mark is a system call whose first argument is MARK, as runner.py makes it. Each one adds a line to the file that
 * out=FILE names: all instructions so far, and of them those that sum int8 products: dot products and matrix products.
 * Counters are not atomic: one thread. The declarations are those of qemu's plugin interface, version 1, which Debian
 * ships without its header.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MARK 0x5F3A0000
#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct block;
struct instruction;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
                                                 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int, void *, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
extern const void *qemu_plugin_insn_data(const struct instruction *);

EXPORTED int qemu_plugin_version = 1;

enum { ADD = 0, ALL = 0, DOT = 1, MATRIX = 2, COUNTERS = 3 };
static uint64_t counters[COUNTERS];
static FILE *out;

/* SDOT, UDOT, USDOT and SUDOT of vectors or of an element, in NEON or in SVE. */
static int is_dot(uint32_t code) {
    return (code & 0x9FE0FC00) == 0x0E809400 || (code & 0xBFE0FC00) == 0x0E809C00 ||
           (code & 0x9FC0F400) == 0x0F80E000 || (code & 0xBF40F400) == 0x0F00F000 ||
           (code & 0xFFE0F800) == 0x44800000 || (code & 0xFFE0F800) == 0x44A00000 ||
           (code & 0xFFE0FC00) == 0x44807800 || (code & 0xFFE0F800) == 0x44A01800;
}

/* SMMLA, UMMLA and USMMLA, in NEON or in SVE. */
static int is_matrix(uint32_t code) {
    return (code & 0xDFE0F400) == 0x4E80A400 || (code & 0xFF20FC00) == 0x45009800;
}

static void translated(plugin_id id, struct block *block) {
    (void)id;
    uint64_t found[COUNTERS] = {qemu_plugin_tb_n_insns(block), 0, 0};
    for (size_t i = 0; i < found[ALL]; i++) {
        uint32_t code;
        memcpy(&code, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof code);
        found[DOT] += is_dot(code);
        found[MATRIX] += is_matrix(code);
    }
    for (int kind = 0; kind < COUNTERS; kind++)
        if (found[kind]) qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &counters[kind], found[kind]);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t first, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)number, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (first != MARK) return;
    for (int kind = 0; kind < COUNTERS; kind++)
        fprintf(out, kind ? " %llu" : "%llu", (unsigned long long)counters[kind]);
    fputc('\n', out);
    fflush(out);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *about, int argc, char **argv) {
    (void)about;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
    if (!out) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
