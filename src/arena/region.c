/* The arena as a region of memory: creates it, maps it, adopts it in a fresh process. It knows the layout of the
 * header, and nothing of what lies behind it.
 *
 * What is mapped. Invariant: while header->is_shared is 0, one process has the arena, and it maps the beginning of each
 * part, up to its end; what has pages is mapped. Afterwards the ends in the header hold for every process, and none
 * changes. Commit: the store to is_shared, by the only process, before a fork or a start lets another one in. Only
 * spawned processes read it; forked ones have their parent's mapping. */
#include "arena/region.h"

#include "arena/chunks.h"
#include "arena/layout.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/file.h"
#include "os/fork.h"
#include "os/memory.h"
#include "os/random.h"
#include "os/sanitizer.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/log.h>

#define LARGEST  ((size_t)256 << 30)
#define SMALLEST ((size_t)128 << 20)

#define LARGEST_IN_VALGRIND ((size_t)1 << 30)
#define PAGE                ((size_t)4096)

/* Where an arena may lie. Nobody's mappings fall into the first range by themselves: the kernel puts programs and heaps
 * above it, and fills the space below the stack downwards; sanitizers and the runtimes of other languages have theirs
 * below or above. A family takes a random one of the places there, each LARGEST apart, so that two of them in one
 * process (two copies of the library) are apart too. The others are for the sanitizers of threads and of memory, which
 * allow few places: the one lies below all programs, the other at the end of the space that is filled downwards. */
#define PLACES_BEGIN ((uintptr_t)0x200000000000)
#define PLACES       UINT32_C(176) /* up to 0x4c0000000000 */
#define PLACES_TRIED 8
static const uintptr_t other_places[] = {0x550000000000, 0x7e8000000000};

/* The parts of the arena that grow, in order of address. */
enum {
    HEAD,
    LEDGERS,
    TABLE,
    CHUNKS,
    PARTS
};

/* What is mapped at a time, and how much more at least; the head is mapped whole at once. */
static const size_t steps[PARTS] = {PAGE, 4 * REGION_LEDGER_SIZE, 16 * PAGE, 16 * REGION_CHUNK};

/* What must do where this process may not map everything: so many members, and as many chunks as there may be then. */
#define FEW_MEMBERS 256

struct region region = {.fd = -1, .bell = -1};

/* Of this process; under its lock, except is_fixed, which never goes back to false in a family. region is a copy of
 * some of it, made when the arena can be used. */
static struct {
    pthread_mutex_t lock;
    unsigned char *base;
    size_t size;
    int fd;
    size_t ends[PARTS];
    _Atomic(bool) is_fixed; /* nothing more is mapped */
    bool locks;             /* the program locks what it maps; written before is_fixed */
} mapping = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct arena_header *header_mapped(void)
{
    return (struct arena_header *)(void *)mapping.base;
}

static size_t round_up(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

/* One is lost where the chunks are aligned. */
static size_t chunk_limit(void)
{
    return (mapping.size - REGION_CHUNK_OFFSET) / (REGION_CHUNK + sizeof(struct chunk)) - 1;
}

static size_t part_begin(int part)
{
    const size_t begins[] = {0, REGION_LEDGER_OFFSET, REGION_CHUNK_OFFSET};
    if (part < CHUNKS)
        return begins[part];
    return part == CHUNKS ? layout_first_chunk(chunk_limit()) : mapping.size;
}

/* ---- growing ---- */

/* Map a part up to there, if it is not. */
static int map_part(int part, size_t end)
{
    size_t begin = mapping.ends[part];
    if (end <= begin)
        return 0;
    int result = os_memory_map(mapping.base + begin, end - begin, mapping.fd, begin);
    if (result == -EBADF && begin > part_begin(part)) /* the program has closed it */
        result = os_memory_extend(mapping.base + part_begin(part), begin - part_begin(part), end - part_begin(part));
    if (!result)
        mapping.ends[part] = end;
    return result;
}

/* Somewhat more than is asked for, if there is room. */
static int grow_part(int part, size_t end)
{
    size_t most = part_begin(part + 1);
    size_t more = (mapping.ends[part] - part_begin(part)) / 8;
    size_t wish = round_up(more > steps[part] ? mapping.ends[part] + more : end, steps[part]);
    wish = wish < end ? round_up(end, steps[part]) : wish;
    int result = map_part(part, wish < most ? wish : most);
    return result ? map_part(part, round_up(end, PAGE)) : 0;
}

static int map_range(size_t offset, size_t size)
{
    int part = CHUNKS;
    if (load_acquire(&mapping.is_fixed))
        return 0;
    while (offset < part_begin(part))
        part--;
    pthread_mutex_lock(&mapping.lock);
    bool is_fixed = load_relaxed(&mapping.is_fixed);
    int result = is_fixed || offset + size <= mapping.ends[part] ? 0 : grow_part(part, offset + size);
    pthread_mutex_unlock(&mapping.lock);
    return result ? -ENOMEM : 0;
}

/* ---- sharing ---- */

/* Pages that are never used cost nothing, except in a program that locks its memory: os_memory_map_unlocked() sees to
 * that. */
static int map_unlocked(int part, size_t end)
{
    size_t begin = mapping.ends[part];
    if (begin >= end)
        return 0;
    int result = os_memory_map_unlocked(mapping.base + begin, end - begin, mapping.fd, begin);
    if (!result)
        mapping.ends[part] = end;
    return result;
}

/* This process may not have everything, as by RLIMIT_AS or RLIMIT_MEMLOCK: then the family has half of what there may
 * be, or half of that, and the table for it. */
static void map_less(void)
{
    size_t first = part_begin(CHUNKS), length = mapping.size - first;
    int result;
    (void)map_unlocked(LEDGERS, REGION_LEDGER_OFFSET + FEW_MEMBERS * REGION_LEDGER_SIZE); /* else for even fewer */
    do {
        length = round_up(length / 2, REGION_CHUNK);
        size_t table = round_up(length / REGION_CHUNK * sizeof(struct chunk), PAGE);
        result = map_unlocked(TABLE, REGION_CHUNK_OFFSET + table);
        if (!result)
            result = map_unlocked(CHUNKS, first + length);
    } while (result && length > REGION_CHUNK);
}

static uint32_t members_mapped(void)
{
    return (uint32_t)((mapping.ends[LEDGERS] - REGION_LEDGER_OFFSET) / REGION_LEDGER_SIZE);
}

static uint32_t chunks_mapped(void)
{
    size_t chunks = (mapping.ends[CHUNKS] - part_begin(CHUNKS)) / REGION_CHUNK;
    size_t entries = (mapping.ends[TABLE] - REGION_CHUNK_OFFSET) / sizeof(struct chunk);
    size_t least = chunks < entries ? chunks : entries;
    return (uint32_t)(least < chunk_limit() ? least : chunk_limit());
}

static void fix(void)
{
    struct arena_header *header = header_mapped();
    for (int part = 0; part < PARTS; part++)
        header->ends[part] = mapping.ends[part];
    header->member_end = members_mapped();
    header->chunk_end = chunks_mapped();
    store_release(&header->is_shared, 1);
    store_release(&mapping.is_fixed, true);
}

static void share(void)
{
    int result = 0;
    if (!region.base || load_relaxed(&mapping.is_fixed))
        return;
    mapping.locks = os_memory_is_locked_when_mapped();
    for (int part = HEAD; !result && part < PARTS; part++)
        result = map_unlocked(part, part_begin(part + 1));
    if (result)
        map_less();
    fix();
    if (result)
        mproc_log(MPROC_LOG_WARNING,
                  "this process may not map all of the shared memory (%s): its family has %zu MiB and "
                  "at most %u processes",
                  mproc_strerror(result), header_mapped()->chunk_end * REGION_CHUNK >> 20, header_mapped()->member_end);
}

void region_share(void)
{
    region_before_fork();
    region_after_fork_in_parent();
}

void region_before_fork(void)
{
    pthread_mutex_lock(&mapping.lock);
    share();
}

void region_after_fork_in_parent(void)
{
    pthread_mutex_unlock(&mapping.lock);
}

OS_FORK_PATH void region_after_fork_in_child(void)
{
    os_mutex_reset(&mapping.lock, true);
}

/* ---- creating ---- */

static int write_header(void)
{
    int result = os_memory_back(mapping.fd, 0, LAYOUT_MEMBER_OFFSET);
    if (!result)
        result = os_memory_back(mapping.fd, LAYOUT_HEAP_OFFSET, LAYOUT_HEAP_SIZE);
    if (result)
        return result;
    struct arena_header *header = header_mapped();
    header->version = LAYOUT_VERSION;
    header->pointer_size = sizeof(void *);
    header->base = (uint64_t)(uintptr_t)mapping.base;
    header->size = mapping.size;
    header->chunk_limit = (uint32_t)chunk_limit();
    header->chunk_end = header->chunk_limit;
    header->member_end = REGION_MEMBERS;
    header->magic = LAYOUT_MAGIC;
    return 0;
}

/* Begin at this place, with nothing mapped but the head, if all of it is free. */
static int begin_at(uintptr_t place)
{
    int result = place ? os_memory_is_free((void *)place, mapping.size) : -ENOMEM;
    if (result)
        return result;
    mapping.base = (unsigned char *)place;
    for (int part = 0; part < PARTS; part++)
        mapping.ends[part] = part_begin(part);
    result = map_part(HEAD, REGION_LEDGER_OFFSET);
    if (result)
        return result;
    result = write_header();
    if (result)
        os_memory_unmap(mapping.base, REGION_LEDGER_OFFSET);
    return result;
}

/* The place may be taken, or beyond what this process can have. */
static bool is_elsewhere(int result)
{
    return result == -EEXIST || result == -ENOMEM;
}

/* Present where the program was built with these sanitizers. */
#pragma weak __tsan_init
#pragma weak __msan_init
void __tsan_init(void);
void __msan_init(void);

static int begin_anywhere(void)
{
    uint32_t number = 0;
    int result = -EEXIST;
    uint32_t tries = __tsan_init || __msan_init ? 0 : PLACES_TRIED;
    (void)os_random(&number, sizeof number); /* without it all families try the same places */
    for (uint32_t i = 0; is_elsewhere(result) && i < tries; i++)
        result = begin_at(PLACES_BEGIN + (number + i * 31) % PLACES * LARGEST);
    for (size_t i = 0; is_elsewhere(result) && i < sizeof other_places / sizeof *other_places; i++)
        result = begin_at(other_places[i]);
    return is_elsewhere(result) ? begin_at((uintptr_t)os_memory_find_free(mapping.size)) : result;
}

static int create(size_t size)
{
    int fd = os_memory_create("mproc", size);
    if (fd < 0)
        return fd;
    mapping.fd = fd;
    mapping.size = size;
    store_relaxed(&mapping.is_fixed, false);
    int bell = os_eventfd_create();
    int result = bell < 0 ? bell : begin_anywhere();
    if (!result) {
        region = (struct region){.base = mapping.base, .size = size, .fd = fd, .bell = bell};
        return 0;
    }
    if (bell >= 0)
        os_close(bell);
    os_close(fd);
    return result;
}

/* The limit on the size of files is one on the memory file too. Memcheck's search for leaks reads all that is mapped,
 * which gives every page of it memory. */
static size_t largest_size(void)
{
    size_t limit = os_file_limit();
    if (os_is_in_valgrind() && limit > LARGEST_IN_VALGRIND)
        limit = LARGEST_IN_VALGRIND;
    return limit < LARGEST ? limit / REGION_CHUNK * REGION_CHUNK : LARGEST;
}

int region_open(void)
{
    if (region.base)
        return 0;
    size_t size = largest_size();
    int result = size < SMALLEST ? -EFBIG : -ENOMEM;
    for (; result == -ENOMEM && size >= SMALLEST; size /= 2)
        result = create(size);
    if (result == -EFBIG)
        mproc_log(MPROC_LOG_ERROR,
                  "shared memory needs a file of %zu MiB at least, and the limit on the size of files "
                  "(ulimit -f) is less",
                  SMALLEST >> 20);
    return result;
}

/* ---- adopting ---- */

static int read_header(int fd, struct arena_header *header)
{
    int64_t size = os_memory_size(fd);
    if (size < 0)
        return (int)size;
    ssize_t count;
    do {
        count = os_read_at(fd, header, sizeof *header, 0);
    } while (count == -EINTR);
    if (count < 0)
        return (int)count;
    bool is_ours = count == (ssize_t)sizeof *header && header->magic == LAYOUT_MAGIC &&
                   header->version == LAYOUT_VERSION && header->pointer_size == sizeof(void *) &&
                   header->size == (uint64_t)size && header->is_shared && (size_t)size >= SMALLEST &&
                   (size_t)size <= LARGEST && header->base;
    return is_ours ? 0 : failure(-EINVAL, "the file of the arena is of another version of the library, or damaged");
}

/* As the creator has it: one mapping where all of it is there. */
static int map_as(const struct arena_header *header)
{
    int result = 0;
    for (int part = 0, last; !result && part < PARTS; part = last + 1) {
        size_t begin = part_begin(part);
        for (last = part; last < CHUNKS && header->ends[last] == part_begin(last + 1); last++)
            ;
        if (header->ends[last] > begin)
            result = os_memory_map(mapping.base + begin, header->ends[last] - begin, mapping.fd, begin);
    }
    return result;
}

int region_adopt(int fd, int bell)
{
    struct arena_header header;
    if (region.base)
        return -EEXIST;
    int result = read_header(fd, &header);
    if (result)
        return result;
    mapping.base = (unsigned char *)(uintptr_t)header.base;
    mapping.size = header.size;
    mapping.fd = fd;
    result = map_as(&header);
    if (result)
        return result;
    store_release(&mapping.is_fixed, true);
    os_set_close_on_exec(fd);
    os_set_close_on_exec(bell);
    region = (struct region){.base = mapping.base, .size = mapping.size, .fd = fd, .bell = bell};
    return 0;
}

/* ---- pages ---- */

/* What is missing then: members that die are not found dead, and children cannot take part. */
static void say_lost(void)
{
    static _Atomic(bool) said;
    if (!exchange_relaxed(&said, true))
        mproc_log(MPROC_LOG_WARNING, "the program has closed the descriptor of the shared memory: from here on this "
                                     "process cannot find out who has died, and has no children that can use it");
}

/* Pages that come after the family was shared are not locked by themselves. */
static bool must_lock(void)
{
    return load_acquire(&mapping.is_fixed) && mapping.locks;
}

int region_back(size_t offset, size_t size)
{
    int result = map_range(offset, size);
    if (!result)
        result = os_memory_back(region.fd, offset, size);
    if (result == -EBADF) {
        say_lost();
        result = os_memory_populate(region.base + offset, size);
    }
    if (!result && must_lock())
        os_memory_lock(region.base + offset, size);
    return result;
}

int region_punch(size_t offset, size_t size)
{
    if (must_lock())
        os_memory_unlock(region.base + offset, size);
    int result = os_memory_punch(region.fd, offset, size);
    return result == -EBADF ? os_memory_remove(region.base + offset, size) : result;
}

int64_t region_resident(void)
{
    return os_memory_resident(region.fd);
}
