/* The line that shows on stderr how a map goes on: on a terminal one that is written over and over, elsewhere a new one
 * now and then. It runs in the caller's thread. It owns neither stderr nor the terminal: what cannot be written is not
 * written, and no error of it is an error of the map. */
#include "pool/host/progress.h"

#include "os/clock.h"
#include "os/pipe.h"
#include "os/poll.h"
#include "os/terminal.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Between two lines where they stay. */
#define PLAIN_PAUSE OS_SEC(5)

/* Of a terminal that does not tell its width. */
#define USUAL_COLUMNS ((size_t)80)

/* A label is shortened to this many columns before something else is left out for it. */
#define LABEL_LEAST ((size_t)8)

#define SECOND INT64_C(1000000000)

enum {
    FIELD_BYTES = 64,
    CHARACTER_BYTES = 4 /* at most, of UTF-8; so there are no more than two for a column */
};

/* How often the last line is tried, that is not to be lost; each time after a tick at most. */
#define LAST_TRIES 3

/* ---- numbers ---- */

static void format_time(char text[FIELD_BYTES], int64_t span)
{
    long long seconds = span / SECOND;
    if (seconds < 10)
        snprintf(text, FIELD_BYTES, "%lld.%llds", seconds, (long long)(span % SECOND / (SECOND / 10)));
    else if (seconds < 60)
        snprintf(text, FIELD_BYTES, "%llds", seconds);
    else if (seconds < 3600)
        snprintf(text, FIELD_BYTES, "%lldm%02llds", seconds / 60, seconds % 60);
    else if (seconds < 86400)
        snprintf(text, FIELD_BYTES, "%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
    else
        snprintf(text, FIELD_BYTES, "%lldd%02lldh", seconds / 86400, seconds / 3600 % 24);
}

/* Three digits. What would be rounded to a fourth counts as the next unit. */
static void format_digits(char text[FIELD_BYTES], double number, const char *unit)
{
    int digits = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
    snprintf(text, FIELD_BYTES, "%.*f%s", digits, number, unit);
}

/* Items for a second; where they take longer, for a minute, an hour or a day. */
static void format_rate(char text[FIELD_BYTES], double rate)
{
    static const struct {
        double span;
        const char *unit;
    } units[] = {{1, "/s"}, {60, "/min"}, {3600, "/h"}, {86400, "/d"}};
    static const char *const large[] = {"k/s", "M/s", "G/s", "T/s", "P/s"};
    size_t unit = 0, thousands = 0;
    while (unit < 3 && rate * units[unit].span < 0.9995)
        unit++;
    double number = rate * units[unit].span;
    while (number >= 999.5 && unit == 0 && thousands < sizeof large / sizeof *large) {
        number /= 1000;
        thousands++;
    }
    format_digits(text, number, thousands ? large[thousands - 1] : units[unit].unit);
}

/* Rounded down, so that 100 is all. */
static unsigned per_cent(const struct progress_figures *figures)
{
    if (figures->done >= figures->total)
        return 100;
    double share = (double)figures->done / (double)figures->total * 100;
    return share < 99 ? (unsigned)share : 99;
}

/* ---- fields ---- */

enum field {
    LABEL,
    COUNT,
    PER_CENT,
    RATE,
    TIME,
    FAILED,
    FIELDS
};

struct fields {
    char text[FIELDS][PROGRESS_BYTES];
    size_t columns[FIELDS];
};

/* Items for a second, as the mean of all the time; 0: not known yet. */
static double rate_of(const struct progress_figures *figures)
{
    return figures->elapsed > 0 ? (double)figures->done * (double)SECOND / (double)figures->elapsed : 0;
}

static void format_time_field(char *text, const struct progress_figures *figures)
{
    char span[FIELD_BYTES] = "?";
    double rate = rate_of(figures);
    if (figures->state != PROGRESS_GOES_ON) {
        format_time(span, figures->elapsed);
        snprintf(text, PROGRESS_BYTES, "%s %s", figures->state == PROGRESS_DONE ? "in" : "stopped after", span);
        return;
    }
    size_t more = figures->total > figures->done ? figures->total - figures->done : 0;
    double left = rate > 0 ? (double)more / rate : 0;
    if (figures->total == 0) {
        *text = '\0';
        return;
    }
    if (left >= 9999.0 * 86400)
        snprintf(span, sizeof span, ">9999d");
    else if (rate > 0)
        format_time(span, (int64_t)(left * (double)SECOND));
    snprintf(text, PROGRESS_BYTES, "%s left", span);
}

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Copy what fits of a text. Control characters, which could move the cursor, become question marks. Returns how many
 * columns it has. */
static size_t copy_columns(char *to, size_t size, const char *from, size_t most)
{
    size_t columns = 0, length = 0;
    while (*from) {
        size_t bytes = 1;
        while (bytes < CHARACTER_BYTES && continues_character(from[bytes]))
            bytes++;
        size_t wide = (unsigned char)*from < 0x80 && bytes == 1 ? 1 : 2;
        if (columns + wide > most || length + bytes >= size)
            break;
        memcpy(to + length, from, bytes);
        if ((unsigned char)*from < ' ' || *from == 0x7f)
            to[length] = '?';
        from += bytes;
        length += bytes;
        columns += wide;
    }
    to[length] = '\0';
    return columns;
}

static void format_share(struct fields *fields, const struct progress_figures *figures)
{
    fields->text[PER_CENT][0] = '\0';
    if (figures->total == 0) {
        snprintf(fields->text[COUNT], PROGRESS_BYTES, "%zu", figures->done);
        return;
    }
    snprintf(fields->text[COUNT], PROGRESS_BYTES, "%zu/%zu", figures->done, figures->total);
    snprintf(fields->text[PER_CENT], PROGRESS_BYTES, "%u%%", per_cent(figures));
}

static void make_fields(struct fields *fields, const struct progress_figures *figures)
{
    char rate[FIELD_BYTES] = "?/s";
    if (rate_of(figures) > 0)
        format_rate(rate, rate_of(figures));
    fields->columns[LABEL] = copy_columns(fields->text[LABEL], PROGRESS_BYTES, figures->label, PROGRESS_COLUMNS);
    format_share(fields, figures);
    snprintf(fields->text[RATE], PROGRESS_BYTES, "%s", rate);
    format_time_field(fields->text[TIME], figures);
    fields->text[FAILED][0] = '\0';
    if (figures->failed)
        snprintf(fields->text[FAILED], PROGRESS_BYTES, "%zu failed", figures->failed);
    for (int field = COUNT; field < FIELDS; field++)
        fields->columns[field] = strlen(fields->text[field]);
}

/* ---- the line ---- */

/* The columns of the fields that are kept, joined, beside the label. */
static size_t columns_without_label(const struct fields *fields, unsigned kept)
{
    size_t columns = 0;
    for (int field = COUNT; field < FIELDS; field++)
        if ((kept & 1U << field) && fields->columns[field])
            columns += (columns ? strlen("  ") : 0) + fields->columns[field];
    return columns;
}

static size_t progress_join(char *line, struct fields *fields, unsigned kept, size_t label)
{
    size_t columns = 0, length = 0;
    *line = '\0';
    if ((kept & 1U << LABEL) && fields->columns[LABEL]) {
        columns = copy_columns(line, PROGRESS_BYTES, fields->text[LABEL], label) + strlen(": ");
        length = strlen(line);
        length += (size_t)snprintf(line + length, PROGRESS_BYTES - length, ": ");
    }
    bool is_first = true;
    for (int field = COUNT; field < FIELDS; field++) {
        if (!(kept & 1U << field) || !fields->columns[field])
            continue;
        const char *gap = is_first ? "" : "  ";
        length += (size_t)snprintf(line + length, PROGRESS_BYTES - length, "%s%s", gap, fields->text[field]);
        columns += strlen(gap) + fields->columns[field];
        is_first = false;
    }
    return columns;
}

size_t progress_format(char line[PROGRESS_BYTES], size_t columns, const struct progress_figures *figures)
{
    /* What is left out next where the columns are too few. */
    static const enum field dropped[] = {RATE, TIME, LABEL, COUNT, FAILED};
    struct fields fields;
    unsigned kept = (1U << FIELDS) - 1;
    make_fields(&fields, figures);
    if (columns > PROGRESS_COLUMNS)
        columns = PROGRESS_COLUMNS;
    for (size_t next = 0;; next++) {
        size_t rest = columns_without_label(&fields, kept);
        size_t own = fields.columns[LABEL];
        bool has_label = (kept & 1U << LABEL) && own;
        size_t least = own < LABEL_LEAST ? own : LABEL_LEAST;
        if (!has_label && rest <= columns)
            return progress_join(line, &fields, kept, 0);
        if (has_label && rest + least + strlen(": ") <= columns)
            return progress_join(line, &fields, kept, columns - rest - strlen(": "));
        if (next == sizeof dropped / sizeof *dropped)
            return copy_columns(line, PROGRESS_BYTES, fields.text[figures->total ? PER_CENT : COUNT], columns);
        kept &= ~(1U << dropped[next]);
    }
}

/* ---- stderr ---- */

/* Write it in one call, which does not wait and raises no SIGPIPE; only for the last line of all it waits a little.
 * Returns whether all of it was taken. */
static bool progress_put(const char *text, size_t length, bool is_last)
{
    const struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};
    for (int left = is_last ? LAST_TRIES : 1; left > 0; left--) {
        struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (is_last)
            os_poll(&room, 1, OS_TICK);
        ssize_t written = os_pipe_write(STDERR_FILENO, &part, 1, OS_PIPE_POLLED);
        if (written >= 0)
            return written == (ssize_t)length;
    }
    return false;
}

/* Write over the line on a terminal. The last column stays free: what is written there may begin a new line. */
static void put_over(struct progress *progress, size_t width, const struct progress_figures *figures)
{
    char line[PROGRESS_BYTES], text[PROGRESS_BYTES + PROGRESS_COLUMNS + 4];
    bool is_last = figures->state != PROGRESS_GOES_ON;
    size_t columns = progress_format(line, width - 1, figures);
    size_t old = progress->columns < width ? progress->columns : width - 1;
    int blanks = old > columns ? (int)(old - columns) : 0;
    int length = snprintf(text, sizeof text, "\r%s%*s%s", line, blanks, "", is_last ? "\n" : "");
    if (progress_put(text, (size_t)length, is_last) || columns > progress->columns)
        progress->columns = columns;
}

static void put_line(struct progress *progress, const struct progress_figures *figures)
{
    char line[PROGRESS_BYTES];
    int64_t now = os_now();
    if (figures->state == PROGRESS_GOES_ON && now < progress->next_at)
        return;
    progress->next_at = now + PLAIN_PAUSE;
    progress_format(line, PROGRESS_COLUMNS, figures);
    size_t length = strlen(line);
    line[length++] = '\n'; /* for which the string's end makes room */
    progress_put(line, length, figures->state != PROGRESS_GOES_ON);
}

static void progress_tell(struct progress *progress, size_t done, size_t failed, enum progress_state state)
{
    const struct progress_figures figures = {.label = progress->label,
                                             .done = done,
                                             .total = progress->total,
                                             .failed = failed,
                                             .elapsed = os_now() - progress->began,
                                             .state = state};
    int width = os_terminal_width(STDERR_FILENO);
    if (width < 0)
        put_line(progress, &figures);
    else
        put_over(progress, width ? (size_t)width : USUAL_COLUMNS, &figures);
}

void progress_begin(struct progress *progress, const char *label, size_t total)
{
    int64_t now = os_now();
    *progress = (struct progress){.label = label, .total = total, .began = now, .next_at = now + PLAIN_PAUSE};
}

void progress_show(struct progress *progress, size_t done, size_t failed)
{
    progress_tell(progress, done, failed, PROGRESS_GOES_ON);
}

void progress_end(struct progress *progress, size_t done, size_t failed, bool is_whole)
{
    progress_tell(progress, done, failed, is_whole ? PROGRESS_DONE : PROGRESS_STOPPED);
}
