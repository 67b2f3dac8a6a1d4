/* What a dying worker says: the signal, its address, and the stack with the names of the functions. It is said in a
 * handler, which may have interrupted anything, so nothing here takes a lock or memory, or waits without end. What
 * fails in the handler, be it by another signal, ends the saying and nothing more: the signal is passed on, and the
 * worker ends by it. */
#include "process/crash_report.h"

#include "os/allocate.h"
#include "os/crash.h"
#include "os/file.h"
#include "os/process.h"
#include "os/program.h"
#include "os/stack.h"
#include "util/atomic.h"
#include "util/symbol.h"
#include "util/text.h"
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

/* How long a worker may take to say them. */
#define TIME OS_SEC(1)

/* Of this worker. */
static struct {
    struct crash_report *words;
    pid_t pid;
    uintptr_t bottom;      /* of the stack that is told: what lies above belongs to the server */
    _Atomic(pid_t) thread; /* the one that speaks, the first that got a signal; or 0 */
    volatile sig_atomic_t can_escape;
    sigjmp_buf *escape; /* out of whatever fails; with can_escape */
    char program[sizeof((struct mproc_frame *)NULL)->object];
    const char *file; /* of the program, where the loader was executed; or NULL */
} speaker;

/* ---- the stack ---- */

static void copy_base_name(char *name, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t length = text_fitting(base, size);
    memcpy(name, base, length);
    name[length] = '\0';
}

/* Returns whether there is room for another. */
static bool crash_report_add_frame(struct crash_report *words, uintptr_t address)
{
    uint32_t count = load_relaxed(&words->frame_count);
    struct mproc_frame *frame = &words->frames[count];
    struct os_object object;
    *frame = (struct mproc_frame){.address = address};
    if (os_object_at(address, &object)) {
        frame->offset = frame->object_offset = address - object.base;
        copy_base_name(frame->object, sizeof frame->object, object.path[0] ? object.path : speaker.program);
    }
    store_release(&words->frame_count, ++count);
    return count < MPROC_STACK_DEPTH;
}

struct walk {
    struct crash_report *words;
    bool is_below_handler;
};

/* The first thread's stack ends, for the reader, where the worker has begun; others end where they do. */
static bool crash_report_visit(const struct os_stack_call *call, void *arg)
{
    struct walk *walk = arg;
    walk->is_below_handler = walk->is_below_handler || call->interrupted;
    if (!walk->is_below_handler)
        return true;
    bool is_end = call->frame > speaker.bottom || (call->address == 0 && !call->interrupted);
    return !is_end && crash_report_add_frame(walk->words, call->address);
}

/* A runtime that puts signals off calls the handler where nothing was interrupted; then its frames are there too. The
 * unwinder cannot leave a place that is no code, where a call through a bad pointer has led. */
static void tell_stack(struct crash_report *words, const void *context)
{
    struct walk walk = {.words = words};
    struct os_object object;
    os_stack_walk(crash_report_visit, &walk);
    if (!walk.is_below_handler) {
        walk.is_below_handler = true;
        os_stack_walk(crash_report_visit, &walk);
    }
    uintptr_t place = os_stack_interrupted(context);
    uint32_t count = load_relaxed(&words->frame_count);
    if (count <= 1 && !os_object_at(place, &object)) {
        if (count == 0)
            crash_report_add_frame(words, place);
        uintptr_t caller = os_stack_caller(context);
        if (os_object_at(caller, &object))
            crash_report_add_frame(words, caller);
    }
}

/* ---- names ---- */

/* What to look for: a caller may have ended with its call, and goes on behind its end. */
static uintptr_t sought(const struct crash_report *words, uint32_t at)
{
    return words->frames[at].address - (at > 0);
}

static void set_name(struct mproc_frame *frame, const struct symbol *symbol)
{
    size_t size = symbol->name_size < sizeof frame->function ? symbol->name_size
                                                             : text_whole(symbol->name, sizeof frame->function - 1);
    frame->offset = frame->object_offset - symbol->begin;
    memcpy(frame->function + 1, symbol->name + 1, size - 1);
    __atomic_store_n(frame->function, symbol->name[0], __ATOMIC_RELEASE); /* commit */
}

/* Whether the file is still the one that is mapped as the object: not if the program was built anew meanwhile. The
 * first bytes tell where all others are, and in most files the build id. */
static bool crash_report_is_same(const struct os_object *object, const unsigned char *file, size_t size)
{
    enum {
        BYTES = 1024
    };
    size_t mapped = (size_t)(object->end - object->begin);
    return mapped >= BYTES && size >= BYTES && memcmp(object->begin, file, BYTES) == 0;
}

static const char *path_of(const struct os_object *object)
{
    if (object->path[0])
        return object->path;
    return speaker.file ? speaker.file : "/proc/self/exe";
}

/* Name all frames of the object in which this one is. Returns a set of them. */
static uint32_t name_object(struct crash_report *words, uint32_t count, uint32_t first)
{
    struct symbol symbols[MPROC_STACK_DEPTH] = {{.address = 0}};
    struct os_object object;
    const unsigned char *file;
    size_t size, found = 0;
    uint32_t set = UINT32_C(1) << first;
    if (!os_object_at(sought(words, first), &object))
        return set;
    uintptr_t begin = (uintptr_t)object.begin, end = (uintptr_t)object.end;
    for (uint32_t i = first; i < count; i++) {
        if (sought(words, i) - begin >= end - begin)
            continue;
        symbols[found++] = (struct symbol){.address = sought(words, i) - object.base};
        set |= UINT32_C(1) << i;
    }
    if (os_map_file(path_of(&object), &file, &size))
        return set;
    if (crash_report_is_same(&object, file, size))
        symbol_find(file, size, symbols, found);
    found = 0;
    for (uint32_t i = first; i < count; i++)
        if (set >> i & 1 && symbols[found++].name)
            set_name(&words->frames[i], &symbols[found - 1]);
    os_unmap_file(file, size);
    return set;
}

static void tell_names(struct crash_report *words, const void *context)
{
    (void)context;
    uint32_t count = load_relaxed(&words->frame_count);
    uint32_t named = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!(named >> i & 1))
            named |= name_object(words, count, i);
}

/* ---- the signal ---- */

static void crash_report_give_up(int number)
{
    pid_t thread = load_relaxed(&speaker.thread);
    if (thread != os_thread_id())
        os_signal_thread(thread, number);
    else if (speaker.can_escape)
        siglongjmp(*speaker.escape, 1);
}

/* Try a part of it. */
static __attribute__((noinline)) void attempt(int number, void (*tell)(struct crash_report *, const void *),
                                              const void *context)
{
    os_crash_guard(number, TIME, crash_report_give_up);
    sigjmp_buf escape;
    speaker.escape = &escape;
    if (sigsetjmp(escape, 1) == 0) {
        speaker.can_escape = 1;
        tell(speaker.words, context);
    }
    speaker.can_escape = 0;
    speaker.escape = NULL;
}

static void speak(int number, const siginfo_t *info, const void *context, bool was_refused)
{
    struct crash_report *words = speaker.words;
    words->signal = number;
    words->was_refused = was_refused;
    words->has_address = os_crash_address(number, info, &words->address);
    store_release(&words->spoken, 1);
    attempt(number, tell_stack, context);
    attempt(number, tell_names, context);
}

/* Another thread that gets a signal meanwhile waits until the first has ended the process. */
static void on_end(int number, siginfo_t *info, void *context)
{
    int error = errno;
    pid_t self = os_thread_id(), first = 0;
    if (speaker.pid != getpid()) {
        os_crash_pass_on(number, info);
    } else if (atomic_compare_exchange_strong(&speaker.thread, &first, self)) {
        speak(number, info, context, error == ENOMEM);
        os_crash_pass_on(number, info);
    } else {
        if (first == self && speaker.can_escape)
            siglongjmp(*speaker.escape, 1);
        if (first != self)
            os_sleep(2 * TIME);
        os_crash_pass_on(number, info);
    }
    errno = error;
}

/* ---- what was told ---- */

uint32_t crash_report_frames(const struct crash_report *words)
{
    if (!load_acquire(&words->spoken))
        return 0;
    uint32_t count = load_acquire(&words->frame_count);
    return count < MPROC_STACK_DEPTH ? count : MPROC_STACK_DEPTH;
}

void crash_report_tell(const struct crash_report *words, mproc_postmortem *postmortem)
{
    postmortem->frame_count = crash_report_frames(words);
    memcpy(postmortem->frames, words->frames, postmortem->frame_count * sizeof *words->frames);
    if (load_relaxed(&words->spoken) && words->has_address && -words->signal == postmortem->exit) {
        postmortem->has_address = true;
        postmortem->address = words->address;
    }
}

/* ---- the process's life ---- */

/* Everything is done once, so that nothing is left to be bound or loaded by a dying worker. */
void crash_report_prepare(void)
{
    static _Atomic(bool) is_prepared;
    char path[PATH_MAX];
    struct crash_report rehearsal = {.signal = 0};
    if (atomic_exchange(&is_prepared, true))
        return;
    if (os_program_has_loader() && os_program_path(path, sizeof path) == 0) {
        copy_base_name(speaker.program, sizeof speaker.program, path);
        speaker.file = os_malloc(strlen(path) + 1);
        if (speaker.file)
            strcpy((char *)(uintptr_t)speaker.file, path);
    } else if (os_own_executable(path, sizeof path) == 0) {
        copy_base_name(speaker.program, sizeof speaker.program, path);
    }
    os_stack_prepare();
    os_crash_listen_in_threads();
    crash_report_add_frame(&rehearsal, (uintptr_t)crash_report_prepare);
    tell_names(&rehearsal, NULL);
}

void crash_report_listen(struct crash_report *words, const void *bottom)
{
    speaker.bottom = (uintptr_t)bottom;
    speaker.words = words;
    speaker.pid = getpid();
    os_crash_listen(on_end);
}

void crash_report_clear(struct crash_report *words)
{
    store_relaxed(&words->chunk_at, 0);
    store_relaxed(&words->cpu_at, 0);
    store_relaxed(&words->cpu, 0);
    store_relaxed(&words->ended_at, 0);
    store_relaxed(&words->ended_cpu, 0);
    store_relaxed(&words->peak_memory, 0);
    store_relaxed(&words->by_oom_killer, false);
    store_relaxed(&words->frame_count, 0);
    store_release(&words->spoken, 0);
}

void crash_report_note_cpu(struct crash_report *words, int64_t now)
{
    store_relaxed(&words->cpu, os_cpu_time());
    store_relaxed(&words->cpu_at, now);
}
