/* A post-mortem as text. */
#include "util/text.h"
#include <mproc/postmortem.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What was written, and how long all of it is. */
struct text {
    char *begin;
    size_t size;
    size_t length;
};

MPROC_PRINTF(2, 3) static void add(struct text *text, const char *format, ...)
{
    va_list values;
    size_t done = text->length < text->size ? text->length : text->size;
    va_start(values, format);
    int more = vsnprintf(text->begin ? text->begin + done : NULL, text->size - done, format, values);
    va_end(values);
    text->length += more > 0 ? (size_t)more : 0;
}

static void add_signal(struct text *text, int number)
{
    const char *name = sigabbrev_np(number);
    const char *meaning = sigdescr_np(number);
    if (name && meaning)
        add(text, "SIG%s (%s)", name, meaning);
    else
        add(text, "signal %d", number);
}

static void add_end(struct text *text, const mproc_postmortem *postmortem)
{
    if (postmortem->exit >= 0) {
        add(text, "left with exit code %d", postmortem->exit);
    } else {
        add(text, "died of ");
        add_signal(text, -postmortem->exit);
    }
    if (postmortem->has_address)
        add(text, " at address 0x%jx", (uintmax_t)postmortem->address);
    if (postmortem->cause == MPROC_CAUSE_LATE)
        add(text, ": the item took too long");
    if (postmortem->cause == MPROC_CAUSE_LIMIT)
        add(text, ": it was at its memory limit");
    if (postmortem->cause == MPROC_CAUSE_OOM_KILLER)
        add(text, ": the kernel's OOM killer");
    add(text, "\n");
}

static void add_seconds(struct text *text, mproc_time span)
{
    add(text, "%jd.%03d s", (intmax_t)(span.nanoseconds / 1000000000), (int)(span.nanoseconds / 1000000 % 1000));
}

static void add_costs(struct text *text, const mproc_postmortem *postmortem)
{
    size_t tenths = postmortem->peak_memory / (((size_t)1 << 20) / 10);
    add(text, "after ");
    add_seconds(text, postmortem->wall);
    if (postmortem->peak_memory) {
        add(text, ", ");
        add_seconds(text, postmortem->cpu);
        add(text, " of CPU time; %s peak memory was %zu.%zu MiB", postmortem->worker ? "the worker's" : "its",
            tenths / 10, tenths % 10);
    }
    add(text, "\n");
}

static void postmortem_text_add_frame(struct text *text, unsigned number, const struct mproc_frame *frame)
{
    add(text, "  #%u 0x%jx in ", number, (uintmax_t)frame->address);
    if (frame->function[0])
        add(text, "%s+0x%zx (%s+0x%zx)\n", frame->function, frame->offset, frame->object, frame->object_offset);
    else if (frame->object[0])
        add(text, "%s+0x%zx\n", frame->object, frame->object_offset);
    else
        add(text, "?\n");
}

static void add_who(struct text *text, const mproc_postmortem *postmortem)
{
    if (postmortem->worker)
        add(text, "item %zu%s: worker %u (pid %d) ", postmortem->index, postmortem->attempt ? ", tried again" : "",
            postmortem->worker, (int)postmortem->pid);
    else
        add(text, "process %s (pid %d) ", postmortem->name, (int)postmortem->pid);
}

size_t mproc_postmortem_text(const mproc_postmortem *postmortem, char *text, size_t size)
{
    struct text report = {.begin = text, .size = text ? size : 0};
    if (text && size)
        text[0] = '\0';
    if (!postmortem)
        return 0;
    add_who(&report, postmortem);
    add_end(&report, postmortem);
    add_costs(&report, postmortem);
    for (unsigned i = 0; i < postmortem->frame_count && i < MPROC_STACK_DEPTH; i++)
        postmortem_text_add_frame(&report, i, &postmortem->frames[i]);
    if (text && report.size && report.length >= report.size)
        text[text_whole(text, report.size - 1)] = '\0';
    return report.length;
}
