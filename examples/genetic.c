/* A short round trip through many cities, by a genetic algorithm with islands: genetic [options] [FILE].
 *
 *     genetic --svg tour.svg            # 200 cities at random
 *     genetic --grid 12                 # 12 x 12 cities, of which the shortest tour is known
 *     genetic cities.txt                # each line has x and y
 *
 * On each island lives a population of tours. Of two good ones a child is made by order crossover and improved by
 * 2-opt; it takes the place of the worst. In an epoch, a map, each island is an item and goes through some generations
 * by itself; then the best of each moves to the next one. Islands have random numbers of their own, so a run gives the
 * same tour with any number of workers. An item reads the island of the last epoch and writes that of the next one:
 * when a worker is killed halfway, the item is just run again. */
#include "tour.h"
#include <getopt.h>
#include <string.h>

enum {
    POPULATION = 24
}; /* tours on an island */

static const char usage[] =
    "usage: genetic [options] [FILE]\n"
    "Find a short round trip through the cities in FILE, a line with x and y for each; without it, through random "
    "ones,\n"
    "or those of --circle or --grid.\n"
    "  --cities N        so many random cities, 4 to 2000 (default 200)\n"
    "  --circle N        N cities on a circle: the shortest tour goes around it\n"
    "  --grid N          N x N cities, 2 to 44: the shortest tour is known\n"
    "  --seed N          of all that is random (default 1)\n"
    "  --islands N       populations, 1 to 1024 (default 8)\n"
    "  --epochs N        rounds, after each of which the best migrate, 1 to 100000 (default 10)\n"
    "  --generations N   children of an island in an epoch, 1 to 1000000 (default 200)\n"
    "  --svg PATH        draw the tour as an SVG\n"
    "  --workers N       use N worker processes, 1 to 1024 (default: one for each CPU)\n"
    "  --help            show this text\n"
    "Exit status: 0; 1 on a failure; 2 for wrong usage.\n";

struct island {
    uint64_t random;
    double lengths[POPULATION];
    city tours[]; /* count cities each */
};

static city *tour(const struct problem *problem, struct island *island, int index)
{
    return island->tours + (size_t)index * (size_t)problem->count;
}

static size_t island_size(const struct problem *problem)
{
    size_t size = sizeof(struct island) + POPULATION * (size_t)problem->count * sizeof(city);
    return (size + 7) / 8 * 8;
}

/* The shortest tour (sign 1) or the longest (sign -1). */
static int find(const struct island *island, int sign)
{
    int found = 0;
    for (int i = 1; i < POPULATION; i++)
        found = sign * island->lengths[i] < sign * island->lengths[found] ? i : found;
    return found;
}

/* ---- the workers ---- */

/* The better of two. */
static int choose_parent(struct island *island)
{
    int one = random_below(&island->random, POPULATION), other = random_below(&island->random, POPULATION);
    return island->lengths[one] < island->lengths[other] ? one : other;
}

/* Make a child. It replaces the worst tour when it is better, and there is none like it. */
static void breed(const struct problem *problem, struct island *island)
{
    city child[MOST_CITIES] = {0};
    const city *mother = tour(problem, island, choose_parent(island));
    cross(problem, &island->random, mother, tour(problem, island, choose_parent(island)), child);
    improve(problem, child);

    double length = length_of(problem, child);
    int worst = find(island, -1);
    for (int i = 0; i < POPULATION; i++) {
        if (fabs(island->lengths[i] - length) <= 1e-9 * length)
            return;
    }
    if (length < island->lengths[worst]) {
        memcpy(tour(problem, island, worst), child, (size_t)problem->count * sizeof *child);
        island->lengths[worst] = length;
    }
}

/* The first inhabitants of an island: random tours, improved. in is its seed. */
static int settle(void *ctx, const void *in, void *out)
{
    const struct problem *problem = ctx;
    struct island *island = out;
    island->random = *(const uint64_t *)in;
    for (int i = 0; i < POPULATION; i++) {
        city *cities = tour(problem, island, i);
        for (int place = 0; place < problem->count; place++) { /* shuffle them */
            int other = random_below(&island->random, place + 1);
            cities[place] = cities[other];
            cities[other] = (city)place;
        }
        improve(problem, cities);
        island->lengths[i] = length_of(problem, cities);
    }
    return 0;
}

/* An epoch of an island. */
static int evolve(void *ctx, const void *in, void *out)
{
    const struct problem *problem = ctx;
    memcpy(out, in, island_size(problem));
    for (int i = 0; i < problem->generations; i++)
        breed(problem, out);
    return 0;
}

/* ---- this process ---- */

/* What the options say. */
struct settings {
    int cities, circle, grid, seed, islands, epochs, generations, workers;
};

static void make_cities(struct cities *cities, const struct settings *settings)
{
    uint64_t random = scramble((uint64_t)settings->seed);
    int side = settings->grid, around = settings->circle;
    if (side) {
        for (int x = 0; x < side; x++) {
            for (int y = 0; y < side; y++)
                add_city(cities, x, y);
        }
        cities->shortest = side % 2 ? side * side - 1 + sqrt(2) : side * side;
    } else if (around) {
        for (int i = 0; i < around; i++)
            add_city(cities, cos(2 * M_PI * i / around), sin(2 * M_PI * i / around));
        cities->shortest = 2 * around * sin(M_PI / around);
    }
    while (cities->count < settings->cities && !side && !around) {
        double x = (double)next_random(&random) / 0x1p64;
        add_city(cities, x, (double)next_random(&random) / 0x1p64);
    }
}

/* The best of each island takes the place of the worst on the next one. */
static void migrate(const struct problem *problem, unsigned char *islands, int count)
{
    for (int i = 0; count > 1 && i < count; i++) {
        struct island *from = (struct island *)(islands + (size_t)i * island_size(problem));
        struct island *to = (struct island *)(islands + (size_t)((i + 1) % count) * island_size(problem));
        int best = find(from, 1), worst = find(to, -1);
        memcpy(tour(problem, to, worst), tour(problem, from, best), (size_t)problem->count * sizeof(city));
        to->lengths[worst] = from->lengths[best];
    }
}

/* All epochs. The island with the best tour, in *islands. */
static struct island *run(const struct settings *settings, struct problem *problem, unsigned char **islands)
{
    size_t count = (size_t)settings->islands, size = island_size(problem);
    unsigned char *next = must(mproc_alloc(count * size));
    uint64_t *seeds = must(calloc(count, sizeof *seeds));
    mproc_map map = {.count = count, .in = seeds, .in_size = sizeof *seeds, .out_size = size, .chunk = 1};
    struct island *best = NULL;
    mproc_pool *pool = NULL;

    for (size_t i = 0; i < count; i++)
        seeds[i] = scramble((uint64_t)settings->seed + (i << 32));
    map.out = *islands = must(mproc_alloc(count * size));
    map.retries = 3;
    map.retry_on = MPROC_RETRY_DEATH;
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = (unsigned)settings->workers});
    if (result == 0)
        result = mproc_pool_map(pool, settle, problem, &map, MPROC_FOREVER);

    map.in_size = size;
    for (int epoch = 0; result == 0; epoch++) {
        for (size_t i = 0; i < count; i++) {
            struct island *island = (struct island *)(*islands + i * size);
            best = i == 0 || island->lengths[find(island, 1)] < best->lengths[find(best, 1)] ? island : best;
        }
        printf("epoch %4d  length %.6f\n", epoch, best->lengths[find(best, 1)]);
        if (epoch == settings->epochs)
            break;
        migrate(problem, *islands, settings->islands);
        map.in = *islands;
        map.out = next;
        result = mproc_pool_map(pool, evolve, problem, &map, MPROC_FOREVER);
        next = *islands;
        *islands = map.out;
    }
    if (result)
        errx(1, "%s", mproc_strerror(result));
    mproc_pool_free(pool);
    mproc_free(next);
    free(seeds);
    return best;
}

static int report(const struct settings *settings, const struct cities *cities, const char *svg)
{
    double begin = now();
    struct problem *problem = make_problem(cities, settings->generations);
    unsigned char *islands;
    struct island *island = run(settings, problem, &islands);
    int best = find(island, 1);

    printf("cities      %d\n", cities->count);
    printf("length      %.6f\n", island->lengths[best]);
    if (cities->shortest > 0)
        printf("shortest    %.6f, the tour is %.2f %% longer\n", cities->shortest,
               100 * fabs(island->lengths[best] / cities->shortest - 1));
    printf("time        %.3f s, workers: %d\n", now() - begin, settings->workers);
    if (svg)
        draw(cities, tour(problem, island, best), svg);
    mproc_free(islands);
    mproc_free(problem);
    return 0;
}

int main(int argc, char **argv)
{
    mproc_init(); /* first of all: the pool's processes begin here too */
    static struct cities cities;
    struct settings settings = {.cities = 200, .seed = 1, .islands = 8, .epochs = 10, .generations = 200};
    const struct number {
        const char *name;
        int *value, least, most;
    } numbers[] = {{"--cities", &settings.cities, 4, MOST_CITIES},
                   {"--circle", &settings.circle, 4, MOST_CITIES},
                   {"--grid", &settings.grid, 2, 44},
                   {"--seed", &settings.seed, 0, INT32_MAX},
                   {"--islands", &settings.islands, 1, 1024},
                   {"--epochs", &settings.epochs, 1, 100000},
                   {"--generations", &settings.generations, 1, 1000000},
                   {"--workers", &settings.workers, 1, 1024}};
    const struct option options[] = {{"cities", required_argument, NULL, 0},
                                     {"circle", required_argument, NULL, 1},
                                     {"grid", required_argument, NULL, 2},
                                     {"seed", required_argument, NULL, 3},
                                     {"islands", required_argument, NULL, 4},
                                     {"epochs", required_argument, NULL, 5},
                                     {"generations", required_argument, NULL, 6},
                                     {"workers", required_argument, NULL, 7},
                                     {"svg", required_argument, NULL, 's'},
                                     {"help", no_argument, NULL, 'h'},
                                     {0}};
    const char *svg = NULL;
    int option;

    settings.workers = mproc_cpu_count();
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option < 8) {
            const struct number *number = &numbers[option];
            *number->value = (int)whole_number(number->name, optarg, number->least, number->most);
        } else if (option == 's') {
            svg = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if ((argc - optind) + (settings.circle > 0) + (settings.grid > 0) > 1) {
        fputs(usage, stderr);
        return 2;
    }
    if (optind < argc)
        read_cities(&cities, argv[optind]);
    else
        make_cities(&cities, &settings);
    return report(&settings, &cities, svg);
}
