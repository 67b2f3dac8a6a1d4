/* See breakpoint.h. */
#include "breakpoint.h"

#include "named.h"
#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRAP ((uintptr_t)0xcc)

/* Debug register 7 enables the breakpoints: 0 at a point, 1 at the end. */
#define AT_END   ((uintptr_t)4)
#define AT_POINT ((uintptr_t)1)

static void poke_user(const struct victim *victim, size_t offset, uintptr_t value)
{
    if (ptrace(PTRACE_POKEUSER, victim->pid, offset, value))
        give_up("the registers of a victim");
}

static uintptr_t address_of(const struct victim *victim)
{
    return (uintptr_t)ptrace(PTRACE_PEEKUSER, victim->pid, offsetof(struct user, regs.rip), NULL);
}

/* ---- the processor's ---- */

static void set_debug_register(const struct victim *victim, size_t number, uintptr_t value)
{
    poke_user(victim, offsetof(struct user, u_debugreg) + number * sizeof value, value);
}

static void use_debug_registers(const struct victim *victim, uintptr_t address)
{
    set_debug_register(victim, 7, 0);
    if (!address)
        return;
    set_debug_register(victim, 0, address);
    set_debug_register(victim, 1, victim->end);
    set_debug_register(victim, 7, victim->end ? AT_POINT | AT_END : AT_POINT);
}

/* ---- whether they work ---- */

__attribute__((noinline)) static void be_met(void)
{
    __asm__ volatile("");
}

static bool try_debug_registers(void)
{
    struct victim victim = {.pid = fork()};
    int status;
    if (victim.pid < 0)
        give_up("fork");
    if (victim.pid == 0) {
        victim_stop_here();
        be_met();
        _exit(0);
    }
    if (waitpid(victim.pid, &status, 0) != victim.pid || !WIFSTOPPED(status))
        give_up("the first victim did not begin");
    use_debug_registers(&victim, (uintptr_t)be_met);
    ptrace(PTRACE_CONT, victim.pid, NULL, NULL);
    if (waitpid(victim.pid, &status, 0) != victim.pid)
        give_up("waitpid");
    if (!WIFSTOPPED(status))
        return false;
    ptrace(PTRACE_KILL, victim.pid, NULL, NULL);
    waitpid(victim.pid, &status, 0);
    return true;
}

bool breakpoints_are_instructions(void)
{
    static enum {
        UNKNOWN,
        REGISTERS,
        INSTRUCTIONS
    } kind;
    if (kind == UNKNOWN)
        kind = try_debug_registers() ? REGISTERS : INSTRUCTIONS;
    return kind == INSTRUCTIONS;
}

/* ---- instructions ---- */

/* Put a byte there; the one that was there. */
static unsigned char exchange(const struct victim *victim, uintptr_t address, uintptr_t byte)
{
    errno = 0;
    uintptr_t word = (uintptr_t)ptrace(PTRACE_PEEKTEXT, victim->pid, address, NULL);
    if (errno || ptrace(PTRACE_POKETEXT, victim->pid, address, (word & ~(uintptr_t)0xff) | byte))
        give_up("the code of a victim");
    return (unsigned char)word;
}

static void plant(struct victim *victim, struct breakpoint *breakpoint, uintptr_t address)
{
    if (address)
        *breakpoint = (struct breakpoint){address, exchange(victim, address, TRAP)};
}

static void pull(const struct victim *victim, struct breakpoint *breakpoint)
{
    if (breakpoint->address)
        exchange(victim, breakpoint->address, breakpoint->byte);
    breakpoint->address = 0;
}

static struct breakpoint *find(struct victim *victim, uintptr_t address)
{
    for (int i = 0; i < 2; i++)
        if (victim->breakpoints[i].address && victim->breakpoints[i].address == address)
            return &victim->breakpoints[i];
    return NULL;
}

bool breakpoints_step_over(struct victim *victim)
{
    const struct breakpoint *here = victim->gone ? NULL : find(victim, address_of(victim));
    if (!here)
        return false;
    exchange(victim, here->address, here->byte);
    return true;
}

void breakpoints_restore(struct victim *victim)
{
    for (int i = 0; i < 2 && !victim->gone; i++)
        if (victim->breakpoints[i].address)
            exchange(victim, victim->breakpoints[i].address, TRAP);
}

void breakpoints_step_back(struct victim *victim)
{
    uintptr_t before = address_of(victim) - 1;
    if (find(victim, before))
        poke_user(victim, offsetof(struct user, regs.rip), before);
}

bool breakpoints_reached(const struct victim *victim)
{
    struct victim copy = *victim;
    return !victim->gone && find(&copy, address_of(victim)) != NULL;
}

/* ---- either ---- */

void breakpoints_clear(struct victim *victim)
{
    if (victim->gone)
        return;
    if (!breakpoints_are_instructions()) {
        use_debug_registers(victim, 0);
        return;
    }
    pull(victim, &victim->breakpoints[1]);
    pull(victim, &victim->breakpoints[0]);
}

void breakpoints_set(struct victim *victim, uintptr_t address)
{
    if (victim->gone)
        return;
    breakpoints_clear(victim);
    if (!breakpoints_are_instructions()) {
        use_debug_registers(victim, address);
        return;
    }
    plant(victim, &victim->breakpoints[0], address);
    if (victim->end != address)
        plant(victim, &victim->breakpoints[1], victim->end);
}
