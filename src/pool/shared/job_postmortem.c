/* Post-mortems of workers: see job_postmortem.h. Whoever settles a death adds them, and the host reads them. */
#include "pool/shared/job_postmortem.h"

#include "util/atomic.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static struct job_postmortem *newest_of(const struct job *job)
{
    return load_acquire(&job->postmortems);
}

static bool job_postmortem_is_listed(const struct job *job, uintptr_t address)
{
    const struct job_postmortem *entry = newest_of(job);
    while (entry && (uintptr_t)entry != address)
        entry = entry->older;
    return entry != NULL;
}

/* ---- making ---- */

static enum mproc_cause job_postmortem_cause(const struct pool *pool, const struct crash_report *words,
                                             const struct job_death *death)
{
    if (death->is_late)
        return MPROC_CAUSE_LATE;
    if (death->exit >= 0)
        return MPROC_CAUSE_EXIT;
    if (load_relaxed(&words->by_oom_killer))
        return MPROC_CAUSE_OOM_KILLER;
    bool speaks = load_acquire(&words->spoken) && -words->signal == death->exit;
    return speaks && words->was_refused && pool->memory_limit ? MPROC_CAUSE_LIMIT : MPROC_CAUSE_SIGNAL;
}

static mproc_time span(int64_t from, int64_t to)
{
    return MPROC_NS(to > from ? to - from : 0);
}

/* If the server has died too, nobody reports when its worker ended or what it used: the end is taken to be now. */
static void job_postmortem_note_costs(mproc_postmortem *text, struct worker_slot *slot,
                                      const struct crash_report *words, const struct job *job)
{
    int64_t ended = load_relaxed(&words->ended_at);
    int64_t item_at = load_relaxed(&slot->item_at);
    int64_t chunk_at = load_relaxed(&words->chunk_at);
    text->wall = span(job->item_timeout ? item_at : chunk_at, ended ? ended : os_now());
    if (!ended)
        return;
    text->cpu = span(load_relaxed(&words->cpu), load_relaxed(&words->ended_cpu));
    text->peak_memory = load_relaxed(&words->peak_memory);
}

void job_postmortem_add(struct pool *pool, unsigned index, struct job *job, size_t item, unsigned attempt,
                        const struct job_death *death)
{
    struct worker_slot *slot = &pool->workers[index];
    struct crash_report *words = pool_crash_report(pool, index);
    struct job_postmortem *newest = newest_of(job);
    size_t number = newest ? newest->number + 1 : 0;
    uintptr_t made = load_acquire(&words->postmortem);
    void *block;
    if (number >= POSTMORTEMS_MAX || (made && job_postmortem_is_listed(job, made)) ||
        heap_free_from(&words->postmortem))
        return;
    size_t head = offsetof(struct job_postmortem, text.frames);
    if (heap_alloc(head + crash_report_frames(words) * sizeof *words->frames, &words->postmortem, &block))
        return;
    struct job_postmortem *entry = block;
    memset(block, 0, head);
    entry->older = newest;
    entry->number = number;
    mproc_postmortem *text = &entry->text;
    text->index = item;
    text->attempt = attempt;
    text->worker = index + 1;
    snprintf(text->name, sizeof text->name, "Worker-%u", index + 1);
    text->pid = load_relaxed(&slot->pid);
    text->exit = death->exit;
    text->cause = job_postmortem_cause(pool, words, death);
    job_postmortem_note_costs(text, slot, words, job);
    crash_report_tell(words, text);
    store_release(&job->postmortems, entry); /* commit */
}

void job_postmortem_end(struct pool *pool, unsigned index, struct job *job)
{
    heap_place *place = &pool_crash_report(pool, index)->postmortem;
    uintptr_t made = load_acquire(place);
    if (made && job && job_postmortem_is_listed(job, made))
        store_release(place, 0);
    else
        heap_free_from(place);
}

/* ---- reading ---- */

size_t job_postmortem_count(const struct job *job)
{
    const struct job_postmortem *newest = newest_of(job);
    return newest ? newest->number + 1 : 0;
}

static bool job_postmortem_copy(const struct job_postmortem *entry, size_t first, mproc_postmortem *postmortem)
{
    size_t head = offsetof(mproc_postmortem, frames);
    if (!entry)
        return false;
    size_t frames = entry->text.frame_count * sizeof *entry->text.frames;
    memset(postmortem, 0, sizeof *postmortem);
    memcpy(postmortem, &entry->text, head);
    memcpy(postmortem->frames, entry->text.frames, frames);
    postmortem->index += first;
    return true;
}

bool job_postmortem_read(const struct job *job, size_t number, size_t first, mproc_postmortem *postmortem)
{
    const struct job_postmortem *entry = newest_of(job);
    while (entry && entry->number != number)
        entry = entry->older;
    return job_postmortem_copy(entry, first, postmortem);
}

bool job_postmortem_read_item(const struct job *job, size_t item, size_t first, mproc_postmortem *postmortem)
{
    const struct job_postmortem *entry = newest_of(job);
    while (entry && entry->text.index != item)
        entry = entry->older;
    return job_postmortem_copy(entry, first, postmortem);
}
