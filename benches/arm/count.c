// A plugin for qemu-user (plugin API 1, QEMU 7.2) that counts the instructions a program executes.
//
// Before each write of the program to standard error, it prints the count since the previous such
// write on a separate line: `instructions 123456`. A program marks the end of a step by writing the
// step's name in a single write. With `functions=on`, the functions with most instructions are printed
// before that: `function 123 NAME`, if the program has symbols.
//
// Counts are exact for a single thread; counts of parallel threads are partly lost.
//
//   cc -shared -fPIC -O2 -o count.so count.c
//   qemu-aarch64 -plugin ./count.so,functions=on PROGRAM
//
// Debian has no header for plugins, so the used part of the interface is declared here.
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef struct translation translation;
typedef struct instruction instruction;

size_t qemu_plugin_tb_n_insns(const translation *);
instruction *qemu_plugin_tb_get_insn(const translation *, size_t);
const char *qemu_plugin_insn_symbol(const instruction *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, translation *));
void qemu_plugin_register_vcpu_tb_exec_inline(translation *, int add, void *, uint64_t);
typedef void on_syscall(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_syscall *);

enum { ADD = 0, WRITE_ON_ARM64 = 64, STANDARD_ERROR = 2, MOST_FUNCTIONS = 25 };

// Instructions executed in one function since the last mark.
typedef struct function {
    char *name;
    uint64_t executed;
    struct function *next;
} function;

static bool by_function;
static uint64_t executed, reported;
static function *functions;

static function *named(const char *name) {
    if (!name || !*name) name = "?";
    for (function *f = functions; f; f = f->next)
        if (!strcmp(f->name, name)) return f;
    function *f = calloc(1, sizeof *f);
    if (!f || !(f->name = strdup(name))) abort();
    f->next = functions;
    return functions = f;
}

static void translated(plugin_id id, translation *block) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &executed, count);
    if (!by_function) return;
    function *f = named(qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(block, 0)));
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &f->executed, count);
}

static void report_functions(void) {
    for (int place = 0; place < MOST_FUNCTIONS; place++) {
        function *most = NULL;
        for (function *f = functions; f; f = f->next)
            if (f->executed && (!most || f->executed > most->executed)) most = f;
        if (!most) break;
        fprintf(stderr, "function %" PRIu64 " %s\n", most->executed, most->name);
        most->executed = 0;
    }
    for (function *f = functions; f; f = f->next) f->executed = 0;
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2,
                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != WRITE_ON_ARM64 || a1 != STANDARD_ERROR) return;
    uint64_t now = executed;
    if (by_function) report_functions();
    fprintf(stderr, "instructions %" PRIu64 "\n", now - reported);
    reported = now;
}

EXPORT int qemu_plugin_version = 1;

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "functions=on")) by_function = true;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
