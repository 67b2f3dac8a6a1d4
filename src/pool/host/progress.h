/* The line that shows on stderr how a map or an imap goes on. */
#ifndef MPROC_POOL_HOST_PROGRESS_H
#define MPROC_POOL_HOST_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No line has more columns, or bytes with its end. */
#define PROGRESS_COLUMNS ((size_t)200)
#define PROGRESS_BYTES   ((size_t)512)

enum progress_state {
    PROGRESS_GOES_ON,
    PROGRESS_DONE,
    PROGRESS_STOPPED /* it has ended with items that were not done */
};

/* What a line tells. */
struct progress_figures {
    const char *label; /* may be empty */
    size_t done;
    size_t total; /* 0: not known, and then there is no per cent and no time left */
    size_t failed;
    int64_t elapsed; /* nanoseconds since it began */
    enum progress_state state;
};

/* Write the line, at most `columns` wide, as a string. If that is narrow, what matters less is left out. Returns how
 * many columns it has. A character beyond ASCII counts as two. */
size_t progress_format(char line[PROGRESS_BYTES], size_t columns, const struct progress_figures *figures);

/* A line that is being shown. By one thread. */
struct progress {
    const char *label;
    size_t total;
    int64_t began;
    int64_t next_at; /* where stderr is no terminal: when the next line is due */
    size_t columns;  /* that stand on the terminal in the line where the cursor is */
};

void progress_begin(struct progress *progress, const char *label, size_t total);

/* Show how far it is; to be called about ten times a second. Waits for nobody: what the terminal does not take at once
 * is not shown. */
void progress_show(struct progress *progress, size_t done, size_t failed);

/* Show the last line, which stays. is_whole: all was done. */
void progress_end(struct progress *progress, size_t done, size_t failed, bool is_whole);

#endif
