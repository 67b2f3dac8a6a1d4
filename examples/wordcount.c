/* wordcount: count the words of all text files below some folders, on every core, and survive a worker that crashes.
 *
 * The parent walks the folders and cuts what it finds into slices: a small file is one slice, a large one several. Runs
 * of slices with about the same number of bytes are the items of a parallel map. For an item a worker counts in tables
 * of its own (word_table.h), one for each part of the words by hash, and publishes them in shared memory. A second map
 * merges: its items are the parts, and a worker adds up one part of all that the first map gave. When a worker dies,
 * the other items go on; the slices of the lost item are tried again, each as an item of its own, and a file that kills
 * its worker even then is named and left out.
 *
 * Afterwards one process counts the same slices with the same code, and the count of every word is compared. */
#define _GNU_SOURCE
#include "common.h"
#include "word_table.h"
#include <ctype.h>
#include <endian.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <inttypes.h>
#include <mproc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PARTS = 64,               /* tables of words, which are merged in parallel; a power of two */
    LONGEST = 255,            /* a longer word is counted as its first so many bytes */
    TEXT_CHECK = 8 << 10,     /* a file with a NUL among its first so many bytes is no text */
    SLICE = 256 << 10,        /* bytes of a file that are counted at a time: they fit a core's cache */
    FILE_COST = 16 << 10,     /* opening a file takes about as long as counting so many bytes */
    SMALLEST_ITEM = 64 << 10, /* with less to do, an item is not worth handing over */
    ITEMS_PER_WORKER = 16,    /* enough that all workers end at about the same time, few enough to merge quickly */
    UNREADABLE = -1,          /* instead of the number of bytes read */
    CRASHED = -2              /* the same */
};

static const char usage[] =
    "usage: wordcount [options] FOLDER...\n"
    "Count the words of all text files below the folders, on every core.\n"
    "  --top N           show the N most frequent words, 0 to 10000 (default 10)\n"
    "  --workers N       use N worker processes, 1 to 1024 (default: one for each CPU)\n"
    "  --crash PATTERN   crash the worker that takes a file whose path contains PATTERN\n"
    "  --help            show this text\n"
    "Exit status: 0 when all is counted and one process alone counts the same; 1 when it does not, or on a failure;\n"
    "2 for wrong usage; 3 as 0, but workers died at some files, which are named and left out.\n";

/* What a process needs to count. Each worker has its own, and so has the parent. */
static struct {
    struct table parts[PARTS];
    struct word *word;                             /* the word that is being read */
    unsigned char fold[256];                       /* a byte of a word to lower case, any other to 0 */
    unsigned char buffer[1 + SLICE + LONGEST + 1]; /* the byte before a slice, the slice, what follows, and a 0 */
} own;

/* A part of a file. */
struct slice {
    const char *path;
    off_t begin, end;
    off_t size;   /* of the whole file, when it was found */
    ssize_t read; /* bytes that the worker found; or UNREADABLE or CRASHED */
    int code;     /* of the worker that crashed: its exit code, or minus the signal */
};

/* An item of the first map: slices that follow one another. */
struct item {
    size_t first, count;
};

/* A result of the first map: the words of an item, by part, each in a block of shared memory. */
struct counts {
    uint64_t *parts[PARTS];
};

/* What all tasks share. It lies in shared memory, as does all that it points to. */
struct job {
    struct slice *slices;
    struct counts *counts;
    size_t slice_count, item_count;
    const char *crash;           /* NULL: nothing crashes */
    _Atomic uint64_t bytes_done; /* for the progress line */
    uint64_t bytes;
    size_t found, binary, unreadable, crashed; /* files */
    double begin;
};

/* Copy a table's words to shared memory. */
static uint64_t *publish(const struct table *table)
{
    size_t size = table->words[0] * sizeof *table->words;
    return memcpy(must(mproc_alloc(size)), table->words, size);
}

static void free_words(uint64_t **parts)
{
    for (int part = 0; part < PARTS; part++) {
        mproc_free(parts[part]);
        parts[part] = NULL;
    }
}

/* ---- counting ---- */

static void prepare_to_count(void)
{
    for (int byte = 0; byte < 256; byte++)
        own.fold[byte] = (unsigned char)(byte >= 0x80 ? byte : isalnum(byte) ? tolower(byte) : 0);
    if (!own.word)
        own.word = must(malloc(sizeof *own.word + LONGEST + 1));
    for (int part = 0; part < PARTS; part++)
        clear_table(&own.parts[part]);
}

/* Count the word that begins at text, and return its end. */
static const unsigned char *count_word(const unsigned char *text)
{
    const unsigned char *begin = text;
    unsigned char byte = own.fold[*text];
    uint64_t hash = 0;

    for (size_t unit = 0; byte && text - begin < LONGEST; unit++) {
        uint64_t bytes = 0;
        for (int shift = 0; shift < 64 && byte && text - begin < LONGEST; shift += 8) {
            bytes |= (uint64_t)byte << shift;
            byte = own.fold[*++text];
        }
        own.word->text[unit] = htole64(bytes);
        hash = (hash ^ bytes) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    own.word->count = 1;
    own.word->hash = (uint32_t)hash;
    own.word->length = (uint32_t)(text - begin);
    add_word(&own.parts[own.word->hash / (UINT32_MAX / PARTS + 1)], own.word);

    while (own.fold[*text])
        text++;
    return text;
}

/* Read up to size bytes at offset into the buffer. How many there were, or UNREADABLE. */
static ssize_t read_file(const char *path, size_t size, off_t offset)
{
    size_t done = 0;
    ssize_t step = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return UNREADABLE;
    while (done < size && (step = pread(fd, own.buffer + done, size - done, offset + (off_t)done)) > 0)
        done += (size_t)step;
    close(fd);
    return step < 0 ? UNREADABLE : (ssize_t)done;
}

/* Count the words that begin in the slice. How many bytes were read, or UNREADABLE. For a word across its begin it
 * looks at the byte before, for one across its end at the LONGEST bytes after, but never beyond the size that the file
 * had when it was found: so it does not matter when a file grows meanwhile. */
static ssize_t count_slice(const struct slice *slice)
{
    off_t before = slice->begin > 0 ? 1 : 0;
    off_t after = slice->size - slice->end < LONGEST ? slice->size - slice->end : LONGEST;
    ssize_t wanted = before + slice->end - slice->begin + after;
    ssize_t size = read_file(slice->path, (size_t)wanted, slice->begin - before);
    if (size <= before)
        return size;

    const unsigned char *text = own.buffer;
    const unsigned char *end = text + (size < wanted ? size : size - after);
    own.buffer[size] = 0;
    while (before && own.fold[*text])
        text++;
    while (text < end)
        text = own.fold[*text] ? count_word(text) : text + 1;
    return size;
}

/* ---- the tasks ---- */

static int count_item(void *ctx, const void *in, void *out)
{
    char *volatile wild = (char *)16;
    struct job *job = ctx;
    const struct item *item = in;
    struct counts *counts = out;
    uint64_t bytes = 0;
    prepare_to_count();
    for (size_t i = item->first; i < item->first + item->count; i++) {
        struct slice *slice = &job->slices[i];
        if (job->crash && strstr(slice->path, job->crash))
            *wild = 1;
        slice->read = count_slice(slice);
        bytes += (uint64_t)(slice->end - slice->begin);
    }
    for (int part = 0; part < PARTS; part++)
        counts->parts[part] = publish(&own.parts[part]);
    atomic_fetch_add(&job->bytes_done, bytes);
    return 0;
}

static int merge_part(void *ctx, const void *in, void *out)
{
    static struct table sum;
    const struct job *job = ctx;
    const struct word *word;
    int part = *(const int *)in;
    clear_table(&sum);
    for (size_t i = 0; i < job->item_count; i++) {
        for (size_t index = 1; (word = next_word(job->counts[i].parts[part], &index));)
            add_word(&sum, word);
    }
    *(uint64_t **)out = publish(&sum);
    return 0;
}

/* ---- finding the files ---- */

/* Take a file in, unless it is no text. All of it is read here, so that it is in memory when the time is taken. */
static void add_file(struct job *job, const char *path, off_t found_size)
{
    struct slice slice = {0};
    ssize_t read = 0;
    job->found++;
    while (slice.size < found_size && (read = read_file(path, SLICE, slice.size)) > 0) {
        if (slice.size == 0 && memchr(own.buffer, 0, read < TEXT_CHECK ? (size_t)read : TEXT_CHECK)) {
            job->binary++;
            return;
        }
        slice.size += read;
    }
    if (read == UNREADABLE) {
        job->unreadable++;
        return;
    }
    job->bytes += (uint64_t)slice.size;
    slice.path = strcpy(must(mproc_alloc(strlen(path) + 1)), path);
    for (; slice.begin < slice.size; slice.begin = slice.end) {
        slice.end = slice.size - slice.begin > SLICE ? slice.begin + SLICE : slice.size;
        if ((job->slice_count & (job->slice_count - 1)) == 0) /* no room left: take twice as much */
            job->slices = must(mproc_realloc(job->slices, (2 * job->slice_count + 1) * sizeof slice));
        job->slices[job->slice_count++] = slice;
    }
}

/* Walk the folders, following no links but those that were named. */
static void find_files(struct job *job, char *const *folders)
{
    FTS *tree = must(fts_open(folders, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL));
    FTSENT *entry;
    while ((entry = fts_read(tree))) {
        bool error = entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS;
        if (error && entry->fts_level == FTS_ROOTLEVEL)
            errx(2, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
        if (error)
            job->unreadable++;
        else if (entry->fts_info == FTS_F)
            add_file(job, entry->fts_path, entry->fts_statp->st_size);
    }
    fts_close(tree);
}

/* ---- the run on all cores ---- */

static size_t make_items(const struct job *job, unsigned workers, struct item *items)
{
    uint64_t target = (job->bytes + job->slice_count * FILE_COST) / (workers * ITEMS_PER_WORKER);
    uint64_t cost = UINT64_MAX;
    size_t count = 0;
    for (size_t i = 0; i < job->slice_count; i++) {
        if (cost >= target && cost >= SMALLEST_ITEM) {
            items[count++] = (struct item){.first = i};
            cost = 0;
        }
        items[count - 1].count++;
        cost += (uint64_t)(job->slices[i].end - job->slices[i].begin) + FILE_COST;
    }
    return count;
}

static void show_progress(void *arg, size_t done, size_t total)
{
    struct job *job = arg;
    double megabytes = (double)atomic_load(&job->bytes_done) / 1e6;
    fprintf(stderr, "\r\033[K%.0f of %.0f MB, %.0f MB/s", megabytes, (double)job->bytes / 1e6,
            megabytes / (now() - job->begin));
    if (done == total)
        fprintf(stderr, "\r\033[K");
}

/* Name the files at which workers died, each once. */
static void name_crashed(struct job *job)
{
    const char *named = NULL;
    for (size_t i = 0; i < job->slice_count; i++) {
        const struct slice *slice = &job->slices[i];
        if (slice->read != CRASHED || slice->path == named)
            continue;
        if (slice->code < 0)
            warnx("%s: left out, its worker died of SIG%s", slice->path, sigabbrev_np(-slice->code));
        else
            warnx("%s: left out, its worker ended with exit code %d", slice->path, slice->code);
        named = slice->path;
        job->crashed++;
    }
}

/* The first map. When workers died, what their items lost is given to a further map, until nothing new is lost. */
static int count_all(mproc_pool *pool, struct job *job, struct item *items, size_t count)
{
    mproc_item_status *status = must(calloc(count + job->slice_count + 1, sizeof *status));
    int result = 0;
    while (result == 0 && job->item_count < count) {
        size_t begin = job->item_count, end = job->item_count = count;
        job->counts = must(mproc_realloc(job->counts, end * sizeof *job->counts));
        mproc_map map = {.count = end - begin, .in = items + begin, .in_size = sizeof *items, .chunk = 1};
        map.out = job->counts + begin;
        map.out_size = sizeof *job->counts;
        map.status = status + begin;
        map.progress = isatty(STDERR_FILENO) ? show_progress : NULL;
        map.progress_arg = job;
        result = mproc_pool_map(pool, count_item, job, &map, MPROC_FOREVER);
        if (result != MPROC_WORKER_DIED)
            continue;

        result = 0;
        for (size_t i = begin; i < end; i++) {
            if (status[i].result == 0)
                continue;
            free_words(job->counts[i].parts); /* those that it published before it died */
            for (size_t s = items[i].first; s < items[i].first + items[i].count; s++) {
                job->slices[s].read = CRASHED;
                job->slices[s].code = status[i].code;
                if (items[i].count > 1)
                    items[count++] = (struct item){.first = s, .count = 1};
            }
        }
    }
    free(status);
    return result;
}

/* Both maps. merged gets the words of each part. */
static int count_together(struct job *job, unsigned workers, uint64_t **merged)
{
    struct item *items = must(calloc(2 * job->slice_count + 1, sizeof *items));
    mproc_pool *pool = NULL;
    int parts[PARTS];
    mproc_map map = {
        .count = PARTS, .in = parts, .in_size = sizeof *parts, .out = merged, .out_size = sizeof *merged, .chunk = 1};

    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers});
    if (result == 0)
        result = count_all(pool, job, items, make_items(job, workers, items));
    name_crashed(job);
    for (int part = 0; part < PARTS; part++)
        parts[part] = part;
    if (result == 0)
        result = mproc_pool_map(pool, merge_part, job, &map, MPROC_FOREVER);
    for (size_t i = 0; i < job->item_count; i++)
        free_words(job->counts[i].parts);
    mproc_pool_free(pool);
    free(items);
    return result;
}

/* ---- the run in one process, and the report ---- */

/* Count what the workers counted, and set the tally right for what they did not. How many slices have changed since. */
static size_t count_alone(struct job *job)
{
    size_t changed = 0;
    prepare_to_count();
    for (size_t i = 0; i < job->slice_count; i++) {
        const struct slice *slice = &job->slices[i];
        if (slice->read < 0)
            job->bytes -= (uint64_t)(slice->end - slice->begin);
        if (slice->read == UNREADABLE && slice->begin == 0)
            job->unreadable++;
        if (slice->read != CRASHED && count_slice(slice) != slice->read)
            changed++;
    }
    return changed;
}

/* How many words do not occur as often in the one run as in the other; *words is how many there are. */
static size_t compare(uint64_t *const *merged, size_t *words)
{
    size_t different = 0;
    for (int part = 0; part < PARTS; part++) {
        const struct table *alone = &own.parts[part];
        const struct word *word;
        size_t found = 0;
        for (size_t index = 1; (word = next_word(merged[part], &index)); ++*words) {
            uint32_t place = *find_word(alone, word);
            found += place != 0;
            different += place == 0 || ((const struct word *)&alone->words[place])->count != word->count;
        }
        different += alone->used - found;
    }
    return different;
}

static void show_top(uint64_t *const *merged, size_t top)
{
    const struct word **best = must(calloc(top + 1, sizeof *best)), *word;
    size_t count = 0;
    for (int part = 0; part < PARTS; part++) {
        for (size_t index = 1; (word = next_word(merged[part], &index));) {
            size_t place = count;
            for (; place > 0 && comes_before(word, best[place - 1]); place--)
                best[place] = best[place - 1];
            best[place] = word;
            count += count < top;
        }
    }
    for (size_t i = 0; i < count; i++)
        printf("%12" PRIu64 "  %.*s\n", best[i]->count, (int)best[i]->length, (const char *)best[i]->text);
    free(best);
}

/* Count on all cores and alone, compare, and print what came of it. The exit status. */
static int run(struct job *job, unsigned workers, size_t top)
{
    uint64_t *merged[PARTS] = {NULL};
    size_t words = 0;

    job->begin = now();
    int result = count_together(job, workers, merged);
    double together = now() - job->begin, begin = now();
    if (result)
        errx(1, "%s", mproc_strerror(result));
    size_t changed = count_alone(job);
    double alone = now() - begin, megabytes = (double)job->bytes / 1e6;
    size_t different = compare(merged, &words);

    show_top(merged, top);
    printf("files        %zu of %zu: %zu are no text, %zu unreadable, %zu crashed\n",
           job->found - job->binary - job->unreadable - job->crashed, job->found, job->binary, job->unreadable,
           job->crashed);
    printf("words        %zu different ones in %.1f MB\n", words, megabytes);
    printf("in parallel  %.3f s, %.1f MB/s, workers: %u\n", together, megabytes / together, workers);
    printf("one process  %.3f s, %.1f MB/s\n", alone, megabytes / alone);
    printf("speed-up     %.2f\n", alone / together);
    if (different)
        printf("agreement    none: %zu words differ; %zu slices of files changed meanwhile\n", different, changed);
    else
        printf("agreement    on the count of every word\n");
    free_words(merged);
    return different ? 1 : job->crashed ? 3 : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"top", required_argument, NULL, 't'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"crash", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    long top = 10, workers = mproc_cpu_count();
    int option;
    struct job *job = must(mproc_calloc(1, sizeof *job));

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 't') {
            top = whole_number("--top", optarg, 0, 10000);
        } else if (option == 'w') {
            workers = whole_number("--workers", optarg, 1, 1024);
        } else if (option == 'c') {
            job->crash = strcpy(must(mproc_alloc(strlen(optarg) + 1)), optarg);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind == argc)
        errx(2, "name at least one folder; see --help");

    prepare_to_count();
    find_files(job, argv + optind);
    return run(job, (unsigned)workers, (size_t)top);
}
