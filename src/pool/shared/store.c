/* What a host keeps in the arena for its pools. The host uses it while it lives; when it is dead, the sweep does.
 *
 * There are three lists: the pools of a member, which begin in its ledger, and the jobs and the functions of a pool.
 * Only the host writes them, under a mutex of its own process, so only a death of the host can leave a change half
 * done. The post-mortems of a job are a fourth list: others add to it (job_postmortem.h), and the host removes from it
 * here.
 *
 * Invariant: a block is listed, or its place `moving` names it, or nobody has it. Commit: the store that lists or
 * unlists the block. A new block is named by `moving`, filled, listed, and then `moving` is cleared; a block is freed
 * by naming it there, unlisting it and giving it back to the heap. Recovery: the sweep frees what is listed, and a
 * block in `moving` that is not listed. The sweeping process may die, and the sweep is done again. */
#include "pool/shared/store.h"

#include "arena/ledger.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/listed.h"
#include "pool/shared/job_postmortem.h"
#include "util/atomic.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Between the threads of this process, for the list of its pools. */
static pthread_mutex_t pools_mutex = PTHREAD_MUTEX_INITIALIZER;

static OS_FORK_PATH void forget_threads(void)
{
    os_mutex_reset(&pools_mutex, false);
}

static struct ledger *own_ledger(void)
{
    return ledger_at(member_slot(member_current()));
}

static void store_end_move(heap_place *moving)
{
    store_release(moving, 0);
}

/* ---- pools ---- */

static struct pool *first_pool(struct ledger *ledger)
{
    return (struct pool *)load_acquire(&ledger->pools);
}

static heap_place *place_of_pool(struct ledger *ledger, const struct pool *pool)
{
    heap_place *place = &ledger->pools;
    while (load_relaxed(place) != (uintptr_t)pool)
        place = &((struct pool *)load_relaxed(place))->next;
    return place;
}

/* Take a pool without jobs from the list and free it. */
static void remove_pool(struct ledger *ledger, struct pool *pool)
{
    heap_place *place = place_of_pool(ledger, pool);
    store_release(&ledger->moving_pool, (uintptr_t)pool);
    store_release(place, load_relaxed(&pool->next));
    heap_free_from(&ledger->moving_pool);
}

int store_new_pool(struct pool **pool, unsigned worker_count)
{
    void *block;
    int result = member_need();
    if (result)
        return result;
    struct ledger *ledger = own_ledger();
    pthread_mutex_lock(&pools_mutex);
    result = heap_alloc_zeroed(pool_size(worker_count), &ledger->moving_pool, &block);
    if (!result) {
        *pool = block;
        (*pool)->host = member_current();
        (*pool)->worker_count = worker_count;
        store_relaxed(&(*pool)->started, POOL_STARTING);
        job_list_init(&(*pool)->list);
        store_relaxed(&(*pool)->next, (uintptr_t)first_pool(ledger));
        store_release(&ledger->pools, (uintptr_t)block); /* commit */
        store_end_move(&ledger->moving_pool);
    }
    pthread_mutex_unlock(&pools_mutex);
    return result;
}

static void store_free_contents(struct pool *pool)
{
    heap_free_from(&pool->own_arg);
    for (unsigned i = 0; i < pool->worker_count; i++) /* a death that was not settled */
        job_postmortem_end(pool, i, load_acquire(&pool->workers[i].job));
    struct job *job;
    struct job_function *function;
    while ((job = load_acquire(&pool->newest)) != NULL) {
        job->newer = NULL; /* a host that died in between may have left it behind */
        store_free_job(pool, job);
    }
    while ((function = load_acquire(&pool->functions)) != NULL) {
        store_release(&pool->moving, (uintptr_t)function);
        store_release(&pool->functions, function->older);
        heap_free_from(&pool->moving);
    }
}

void store_free_pool(struct pool *pool)
{
    store_free_contents(pool);
    pthread_mutex_lock(&pools_mutex);
    remove_pool(own_ledger(), pool);
    pthread_mutex_unlock(&pools_mutex);
}

void store_each_pool(void (*visit)(struct pool *pool))
{
    if (!member_current())
        return;
    os_mutex_lock(&pools_mutex);
    for (struct pool *pool = first_pool(own_ledger()); pool; pool = (struct pool *)load_acquire(&pool->next))
        visit(pool);
    pthread_mutex_unlock(&pools_mutex);
}

/* ---- jobs ---- */

int store_new_job(struct pool *pool, size_t size, struct job **job)
{
    void *block;
    struct job *older = load_relaxed(&pool->newest);
    int result = heap_alloc(sizeof **job + size, &pool->moving, &block);
    if (result)
        return result;
    *job = block;
    memset(block, 0, sizeof **job);
    (*job)->older = older;
    store_release(&pool->newest, *job); /* commit */
    if (older)
        older->newer = *job;
    store_end_move(&pool->moving);
    return 0;
}

void store_free_postmortems(struct pool *pool, struct job *job)
{
    struct job_postmortem *entry;
    while ((entry = load_acquire(&job->postmortems)) != NULL) {
        store_release(&pool->moving, (uintptr_t)entry);
        store_release(&job->postmortems, entry->older);
        heap_free_from(&pool->moving);
    }
}

void store_forget_yields(struct job *job)
{
    store_release(&job->own_yields, NULL);
}

void store_free_yields(struct job *job)
{
    struct yield *yields = load_acquire(&job->own_yields);
    for (size_t i = 0; yields && i < job->own_yield_count; i++)
        yield_clear(&yields[i]);
    store_forget_yields(job);
}

void store_free_job(struct pool *pool, struct job *job)
{
    store_free_postmortems(pool, job);
    store_free_yields(job); /* before the memory in which they are */
    heap_free_from(&job->inputs);
    heap_free_from(&job->payload);
    store_release(&pool->moving, (uintptr_t)job);
    store_release(job->newer ? &job->newer->older : &pool->newest, job->older);
    if (job->older)
        job->older->newer = job->newer;
    heap_free_from(&pool->moving);
}

/* ---- functions ---- */

static bool store_is_same(const struct function_reference *a, const struct function_reference *b)
{
    return a->offset == b->offset && a->extent == b->extent && a->id_size == b->id_size &&
           memcmp(a->id, b->id, a->id_size) == 0 && strcmp(a->path, b->path) == 0;
}

static const struct job_function *known_function(struct pool *pool, mproc_task *task,
                                                 const struct function_reference *reference)
{
    struct job_function *entry = load_relaxed(&pool->functions);
    while (entry && (entry->address != task || !store_is_same(&entry->reference, reference)))
        entry = entry->older;
    return entry;
}

/* The reference is made anew each time: another object file may lie at the function's address by now. */
int store_function(struct pool *pool, mproc_task *task, const struct job_function **entry)
{
    void *block;
    struct function_reference reference;
    struct job_function *older = load_relaxed(&pool->functions);
    int result = function_refer(&reference, (function_address *)(void *)task);
    if (result)
        return result;
    *entry = known_function(pool, task, &reference);
    if (*entry)
        return 0;
    result = heap_alloc(sizeof **entry, &pool->moving, &block);
    if (result)
        return result;
    struct job_function *made = block;
    *made = (struct job_function){
        .older = older, .number = older ? older->number + 1 : 0, .address = task, .reference = reference};
    store_release(&pool->functions, made); /* commit */
    store_end_move(&pool->moving);
    *entry = made;
    return 0;
}

/* ---- the sweep ---- */

/* Whether no process of a dead host's pool can touch it any more. */
static bool is_deserted(struct pool *pool)
{
    bool deserted = pool_is_vacant(&pool->server_word);
    for (unsigned i = 0; i < pool->worker_count; i++)
        deserted = pool_is_vacant(&pool->workers[i].word) && deserted;
    return deserted;
}

/* Finish the move that the host died in: the block is listed, or it is freed. */
static void sweep_moving_job(struct pool *pool)
{
    uintptr_t moving = load_acquire(&pool->moving);
    for (struct job *job = load_acquire(&pool->newest); job; job = job->older)
        if ((uintptr_t)job == moving || (uintptr_t)load_acquire(&job->postmortems) == moving)
            store_end_move(&pool->moving);
    for (struct job_function *entry = load_acquire(&pool->functions); entry; entry = entry->older)
        if ((uintptr_t)entry == moving)
            store_end_move(&pool->moving);
    heap_free_from(&pool->moving);
}

static void sweep_moving_pool(struct ledger *ledger)
{
    uintptr_t moving = load_acquire(&ledger->moving_pool);
    for (struct pool *pool = first_pool(ledger); pool; pool = (struct pool *)load_acquire(&pool->next))
        if ((uintptr_t)pool == moving)
            store_end_move(&ledger->moving_pool);
    heap_free_from(&ledger->moving_pool);
}

static bool sweep_pools(unsigned slot, member_owner owner)
{
    struct ledger *ledger = ledger_at(slot);
    struct pool *pool;
    (void)owner;
    sweep_moving_pool(ledger);
    while ((pool = first_pool(ledger)) != NULL) {
        if (!is_deserted(pool))
            return false;
        sweep_moving_job(pool);
        store_free_contents(pool);
        remove_pool(ledger, pool);
    }
    return true;
}

static member_sweeper *const listed_sweeper OS_LISTED("mproc_sweepers") = sweep_pools;
static member_fork_handler *const listed_handler OS_LISTED("mproc_fork_handlers") = forget_threads;
