/* A calculator with bugs, which works all the same: each line of standard input is an expression, and is evaluated in a
 * worker. A line that divides by zero, that is nested too deeply for the stack, or that takes too long costs its
 * worker; the line is named, with what it did, and all the others have their results, in their order. Lines are read as
 * they are needed, some ahead, so the input may be endless. At the end stderr has a report on each of the first workers
 * that died: where it was, by which way it came there, and what it had used.
 *
 *     printf '%s\n' '1 + 2 * 3' '1 / 0' '(2 + 3) ^ 2' | crashproof
 *
 * Expressions have whole numbers of 64 bits, + - * / ^ and parentheses. */
#include <mproc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE  1000000
#define LINE_LIMIT MPROC_SEC(5)
#define REPORTS    10

static const char usage[] =
    "usage: crashproof <FILE\n"
    "Evaluate each line of standard input, an expression of whole numbers, + - * / ^ and parentheses.\n"
    "At the end stderr has a report on each of the first workers that died.\n";

static const char wrong[] = "?"; /* goes on in place of what is no expression */

/* ---- the calculator, which knows no limits ---- */

static long sum(const char **at);

static char peek(const char **at)
{
    *at += strspn(*at, " \t\r");
    return **at;
}

static long atom(const char **at)
{
    if (peek(at) != '(') {
        const char *begin = *at;
        long number = strtol(begin, (char **)at, 10);
        *at = *at == begin ? wrong : *at;
        return number;
    }
    ++*at;
    long value = sum(at);
    *at = peek(at) == ')' ? *at + 1 : wrong;
    return value;
}

static long power(const char **at)
{
    long value = atom(at);
    if (peek(at) != '^')
        return value;
    ++*at;
    long result = 1;
    for (long exponent = power(at); exponent > 0; exponent--)
        result = (long)((unsigned long)result * (unsigned long)value);
    return result;
}

static long product(const char **at)
{
    long value = power(at);
    for (;;) {
        char sign = peek(at);
        if (sign != '*' && sign != '/')
            return value;
        ++*at;
        long right = power(at);
        value = sign == '*' ? (long)((unsigned long)value * (unsigned long)right) : value / right;
    }
}

static long sum(const char **at)
{
    long value = product(at);
    for (;;) {
        char sign = peek(at);
        if (sign != '+' && sign != '-')
            return value;
        ++*at;
        long right = product(at);
        value = (long)(sign == '+' ? (unsigned long)value + (unsigned long)right
                                   : (unsigned long)value - (unsigned long)right);
    }
}

/* ---- the workers ---- */

static int evaluate(void *ctx, const void *in, void *out)
{
    const char *line = in;
    (void)ctx;
    *(long *)out = sum(&line);
    return *line ? 1 : 0; /* something is left */
}

/* ---- this process ---- */

static char reports[REPORTS][8192];

static int next_line(void *arg, void *in)
{
    char *line = in, *end;
    (void)arg;
    if (!fgets(line, LINE_SIZE, stdin))
        return MPROC_CLOSED;
    end = strchr(line, '\n');
    if (end) {
        *end = '\0';
    } else if (!feof(stdin)) { /* it is too long: leave the rest of it out */
        strcpy(line, wrong);
        for (int next = 0; next != '\n' && next != EOF;)
            next = getchar();
    }
    return 0;
}

static void tell(size_t line, int result, long value, int code)
{
    printf("line %zu: ", line);
    if (result == 0)
        printf("%ld\n", value);
    else if (result == MPROC_TASK_FAILED)
        puts("is no expression");
    else if (result == MPROC_LATE)
        puts("took too long");
    else if (code < 0)
        printf("%s\n", strsignal(-code));
    else
        printf("%s\n", mproc_strerror(result));
}

/* Keep the report on the worker that died at the present line, if one did. Returns how many are kept. */
static size_t keep_report(const mproc_imap *imap, size_t kept)
{
    mproc_postmortem death;
    if (kept < REPORTS && mproc_imap_postmortem(imap, &death) == 0)
        mproc_postmortem_text(&death, reports[kept++], sizeof *reports);
    return kept;
}

static int evaluate_lines(mproc_pool *pool)
{
    const mproc_imap_options options = {
        .next = next_line, .in_size = LINE_SIZE, .out_size = sizeof(long), .item_timeout = LINE_LIMIT};
    mproc_imap *imap;
    mproc_item_status status = {0};
    size_t index = 0, kept = 0;
    long value;
    int result = mproc_pool_imap(pool, &imap, evaluate, NULL, &options);

    if (result)
        return result;
    while ((result = mproc_imap_next(imap, &value, &index, MPROC_FOREVER)) >= 0 && result != MPROC_CLOSED) {
        mproc_imap_status(imap, &status);
        tell(index + 1, result, value, status.code);
        kept = keep_report(imap, kept);
    }
    mproc_imap_free(imap);
    fflush(stdout);
    for (size_t i = 0; i < kept; i++)
        fprintf(stderr, "\n%s", reports[i]);
    return result == MPROC_CLOSED ? 0 : result;
}

int main(int argc, char **argv)
{
    mproc_pool *pool = NULL;
    mproc_init(); /* first of all: the pool's processes begin here too */

    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0;
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    int result = mproc_pool_create(&pool, NULL);
    if (result == 0)
        result = evaluate_lines(pool);
    mproc_pool_free(pool);
    if (result) {
        fprintf(stderr, "crashproof: %s\n", mproc_strerror(result));
        return 1;
    }
    return 0;
}
