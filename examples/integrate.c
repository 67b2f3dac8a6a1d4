/* The integral of a function by adaptive quadrature: each sub-interval is halved until two rules of different order
 * agree on it. Easy ones are done at once, hard ones take thousands of steps, and nobody knows which before.
 *
 *     integrate chirp                 # 2x sin(1/x) - cos(1/x), which swings faster and faster towards 0
 *
 * The items of a map are sub-intervals. A worker goes on with its own until all of it is good or it has taken its share
 * of steps, and gives back what is left; that is dealt out in another round. So no worker is alone with the hard part
 * for long. Shares are steps, not time, and sums are made in the order of the items: every run has the same result,
 * with any number of workers. */
#include "common.h"
#include <float.h>
#include <getopt.h>
#include <math.h>
#include <mproc.h>
#include <stdio.h>
#include <string.h>

enum {
    PIECES = 64,          /* items of the first round */
    SHARE = 4096,         /* steps that a worker takes for an item in a round */
    MOST_STEPS = 1 << 26, /* when there are more, the function is too hard */
    HALVINGS = 64         /* a piece that was halved so often is taken as it is: there is a singularity in it */
};

static const char usage[] = "usage: integrate [options] FUNCTION\n"
                            "Integrate a function by adaptive quadrature, on every core. The functions:\n"
                            "  root      1 / sqrt(x), infinite at 0\n"
                            "  peak      a peak at 0.3 that is a millionth wide\n"
                            "  chirp     2x sin(1/x) - cos(1/x), which swings faster and faster towards 0\n"
                            "  power     x to the x, whose integral has no formula\n"
                            "Options:\n"
                            "  --from A, --to B   the limits (default: those that suit the function)\n"
                            "  --tolerance T      the error that is allowed, 1e-15 to 1 (default 1e-9)\n"
                            "  --workers N        use N worker processes, 1 to 1024 (default: one for each CPU)\n"
                            "  --help             show this text\n"
                            "Exit status: 0; 1 on a failure; 2 for wrong usage; 3 when the error is above the "
                            "tolerance, or work without end.\n";

/* ---- the functions, and their antiderivatives where there are any ---- */

static double root(double x)
{
    return 1 / sqrt(x);
}

static double root_sum(double x)
{
    return 2 * sqrt(x);
}

#define WIDTH 1e-6

static double peak(double x)
{
    return WIDTH / ((x - 0.3) * (x - 0.3) + WIDTH * WIDTH);
}

static double peak_sum(double x)
{
    return atan((x - 0.3) / WIDTH);
}

static double chirp(double x)
{
    return 2 * x * sin(1 / x) - cos(1 / x);
}

static double chirp_sum(double x)
{
    return x * x * sin(1 / x);
}

static double power(double x)
{
    return pow(x, x);
}

static const struct function {
    const char *name;
    double (*value)(double x);
    double (*sum)(double x); /* an antiderivative, or NULL */
    double from, to;         /* limits that suit it */
} functions[] = {{"root", root, root_sum, 0, 1},
                 {"peak", peak, peak_sum, 0, 1},
                 {"chirp", chirp, chirp_sum, 1e-6, 1},
                 {"power", power, NULL, 0, 1}};

/* ---- the workers ---- */

struct interval {
    double from, to;
    int halvings; /* that led to it */
};

/* What is asked for. A worker gets a copy, in which a pointer to a function would not do: it may have the program at
 * another address. */
struct integral {
    size_t function; /* index in functions */
    double from, to, tolerance;
};

/* What a worker found on an interval, and the parts of it that are left. */
struct outcome {
    double value, error;
    long steps;
    int left;
    struct interval rest[HALVINGS + 2];
};

/* The rule of Kronrod with 15 points, and how far Gauss's with 7 of them is from it: an estimate of the error of the
 * worse one, and so one that is on the safe side. *size is the integral of the absolute value. */
static double gauss_kronrod(double (*function)(double), const struct interval *interval, double *error, double *size)
{
    static const double points[] = {
        0.991455371120812639207, 0.949107912342758524526, 0.864864423359769072790, 0.741531185599394439864,
        0.586087235467691130294, 0.405845151377397166907, 0.207784955007898467601, 0};
    static const double kronrod[] = {0.022935322010529224964, 0.063092092629978553291, 0.104790010322250183840,
                                     0.140653259715525918745, 0.169004726639267902827, 0.190350578064785409913,
                                     0.204432940075298892414, 0.209482141084727828013};
    static const double gauss[] = {0.129484966168869693271, 0.279705391489276667901, 0.381830050505118944950,
                                   0.417959183673469387755};
    double half = (interval->to - interval->from) / 2, middle = interval->from + half;
    double sum = 0, coarse = 0, absolute = 0;

    for (int i = 0; i < 8; i++) {
        double left = function(middle - half * points[i]);
        double right = i < 7 ? function(middle + half * points[i]) : 0;
        sum += kronrod[i] * (left + right);
        absolute += kronrod[i] * (fabs(left) + fabs(right));
        if (i % 2)
            coarse += gauss[i / 2] * (left + right);
    }
    *error = fabs(sum - coarse) * half;
    *size = absolute * half;
    return sum * half;
}

static int integrate_interval(void *ctx, const void *in, void *out)
{
    const struct integral *integral = ctx;
    struct outcome *outcome = out;

    outcome->rest[outcome->left++] = *(const struct interval *)in;
    while (outcome->left > 0 && outcome->steps < SHARE) {
        struct interval interval = outcome->rest[--outcome->left];
        double error, size;
        double value = gauss_kronrod(functions[integral->function].value, &interval, &error, &size);
        double allowed = integral->tolerance * (interval.to - interval.from) / (integral->to - integral->from);

        outcome->steps++;
        if (!isfinite(value))
            return 1;
        if (error <= allowed || error <= 50 * DBL_EPSILON * size || interval.halvings == HALVINGS) {
            outcome->value += value;
            outcome->error += error;
            continue;
        }
        double middle = interval.from + (interval.to - interval.from) / 2;
        outcome->rest[outcome->left++] = (struct interval){middle, interval.to, interval.halvings + 1};
        outcome->rest[outcome->left++] = (struct interval){interval.from, middle, interval.halvings + 1};
    }
    return 0;
}

/* ---- this process ---- */

/* Add up what was found in a round, and make a list of what is left. */
static struct interval *gather(struct outcome *sum, const struct outcome *outcomes, size_t *count)
{
    size_t left = 0, copied = 0;
    for (size_t i = 0; i < *count; i++) {
        sum->value += outcomes[i].value;
        sum->error += outcomes[i].error;
        sum->steps += outcomes[i].steps;
        left += (size_t)outcomes[i].left;
    }
    struct interval *rest = must(calloc(left + 1, sizeof *rest));
    for (size_t i = 0; i < *count; copied += (size_t)outcomes[i++].left)
        memcpy(rest + copied, outcomes[i].rest, (size_t)outcomes[i].left * sizeof *rest);
    *count = left;
    return rest;
}

/* One round: *intervals become those that are left of them. */
static int integrate_round(mproc_pool *pool, const struct integral *integral, struct interval **intervals,
                           size_t *count, struct outcome *sum)
{
    struct outcome *outcomes = must(calloc(*count, sizeof *outcomes));
    mproc_item_status *status = must(calloc(*count, sizeof *status));
    mproc_map map = {.count = *count, .in = *intervals, .in_size = sizeof **intervals, .chunk = 1, .status = status};
    map.out = outcomes;
    map.out_size = sizeof *outcomes;
    map.ctx_size = sizeof *integral;
    map.retries = 3; /* a worker that somebody kills costs nothing but time */
    map.retry_on = MPROC_RETRY_DEATH;

    int result = mproc_pool_map(pool, integrate_interval, (void *)integral, &map, MPROC_FOREVER);
    for (size_t i = 0; i < *count; i++) {
        if (status[i].result == MPROC_TASK_FAILED)
            errx(1, "the function is not finite between %g and %g", (*intervals)[i].from, (*intervals)[i].to);
    }
    struct interval *rest = gather(sum, outcomes, count);
    free(*intervals);
    *intervals = rest;
    free(status);
    free(outcomes);
    return result;
}

/* How many rounds there were. */
static int integrate(const struct integral *integral, unsigned workers, struct outcome *sum)
{
    size_t count = PIECES;
    struct interval *intervals = must(calloc(count, sizeof *intervals));
    mproc_pool *pool = NULL;
    int rounds = 0;

    for (int i = 0; i < PIECES; i++) {
        intervals[i].from = integral->from + (integral->to - integral->from) * i / PIECES;
        intervals[i].to = integral->from + (integral->to - integral->from) * (i + 1) / PIECES;
    }
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers});
    for (; result == 0 && count > 0 && sum->steps < MOST_STEPS; rounds++)
        result = integrate_round(pool, integral, &intervals, &count, sum);
    if (result)
        errx(1, "%s", mproc_strerror(result));
    if (count > 0)
        errx(3, "given up after %ld evaluations, %zu intervals are left", 15 * sum->steps, count);
    mproc_pool_free(pool);
    free(intervals);
    return rounds;
}

static size_t find_function(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(functions[i].name, name) == 0)
            return i;
    }
    errx(2, "there is no function '%s'; see --help", name);
}

static int run(const struct integral *integral, unsigned workers)
{
    const struct function *function = &functions[integral->function];
    struct outcome sum = {0};
    double begin = now();
    int rounds = integrate(integral, workers, &sum);

    printf("integral     of %s from %g to %g\n", function->name, integral->from, integral->to);
    printf("value        %.15g\n", sum.value);
    if (function->sum) {
        double exact = function->sum(integral->to) - function->sum(integral->from);
        printf("exact        %.15g, which is %.1e away\n", exact, fabs(sum.value - exact));
    }
    printf("error        %.1e, by estimate\n", sum.error);
    printf("evaluations  %ld, rounds: %d\n", 15 * sum.steps, rounds);
    printf("time         %.3f s, workers: %u\n", now() - begin, workers);
    return sum.error <= integral->tolerance ? 0 : 3;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"from", required_argument, NULL, 'f'},
                                            {"to", required_argument, NULL, 't'},
                                            {"tolerance", required_argument, NULL, 'e'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    mproc_init(); /* first of all: the pool's processes begin here too */
    struct integral integral = {.from = NAN, .to = NAN, .tolerance = 1e-9};
    unsigned workers = (unsigned)mproc_cpu_count();
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'f') {
            integral.from = real_number("--from", optarg, -1e9, 1e9);
        } else if (option == 't') {
            integral.to = real_number("--to", optarg, -1e9, 1e9);
        } else if (option == 'e') {
            integral.tolerance = real_number("--tolerance", optarg, 1e-15, 1);
        } else if (option == 'w') {
            workers = (unsigned)whole_number("--workers", optarg, 1, 1024);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 2;
    }
    integral.function = find_function(argv[optind]);
    integral.from = isnan(integral.from) ? functions[integral.function].from : integral.from;
    integral.to = isnan(integral.to) ? functions[integral.function].to : integral.to;
    if (integral.from >= integral.to)
        errx(2, "there is nothing from %g to %g; see --help", integral.from, integral.to);
    return run(&integral, workers);
}
