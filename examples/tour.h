/* The cities and tours of the example genetic: cities from a file, what is done to tours, and a picture of one. */
#ifndef TOUR_H
#define TOUR_H

#include "common.h"
#include <math.h>
#include <mproc.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    MOST_CITIES = 2000
};

typedef uint16_t city;

struct cities {
    int count;
    double x[MOST_CITIES], y[MOST_CITIES];
    double shortest; /* tour, or 0 when it is not known */
};

/* What one must know to judge tours. It lies in shared memory. */
struct problem {
    int count, generations;
    double distances[]; /* from each city to each */
};

static inline double distance(const struct problem *problem, city from, city to)
{
    return problem->distances[(size_t)from * (size_t)problem->count + to];
}

/* From 0 to below. */
static inline int random_below(uint64_t *random, int below)
{
    return (int)((next_random(random) >> 32) * (uint64_t)below >> 32);
}

static inline double length_of(const struct problem *problem, const city *tour)
{
    double length = distance(problem, tour[problem->count - 1], tour[0]);
    for (int i = 1; i < problem->count; i++)
        length += distance(problem, tour[i - 1], tour[i]);
    return length;
}

static inline void reverse(city *begin, city *last)
{
    for (; begin < last; begin++, last--) {
        city other = *begin;
        *begin = *last;
        *last = other;
    }
}

/* 2-opt: where two roads can be changed for two shorter ones, turn what is between them round; until there are none. */
static inline void improve(const struct problem *problem, city *tour)
{
    for (bool better = true; better;) {
        better = false;
        for (int i = 0; i + 2 < problem->count; i++) {
            for (int j = i + 2; j < problem->count - (i == 0); j++) {
                city after = tour[j + 1 < problem->count ? j + 1 : 0];
                double old = distance(problem, tour[i], tour[i + 1]) + distance(problem, tour[j], after);
                double new = distance(problem, tour[i], tour[j]) + distance(problem, tour[i + 1], after);
                if (new < old *(1 - 1e-12)) {
                    reverse(tour + i + 1, tour + j);
                    better = true;
                }
            }
        }
    }
}

/* Order crossover: a part of the mother's tour where it is, and the other cities in the father's order. */
static inline void cross(const struct problem *problem, uint64_t *random, const city *mother, const city *father,
                         city *child)
{
    bool taken[MOST_CITIES] = {false};
    int begin = random_below(random, problem->count), length = 1 + random_below(random, problem->count - 1);
    int place = begin;

    for (int i = 0; i < length; i++, place = (place + 1) % problem->count) {
        child[place] = mother[place];
        taken[mother[place]] = true;
    }
    for (int i = 0, from = place; i < problem->count; i++, from = (from + 1) % problem->count) {
        if (taken[father[from]])
            continue;
        child[place] = father[from];
        place = (place + 1) % problem->count;
    }
}

/* ---- cities ---- */

static inline void add_city(struct cities *cities, double x, double y)
{
    if (cities->count == MOST_CITIES)
        errx(2, "there are more than %d cities", MOST_CITIES);
    cities->x[cities->count] = x;
    cities->y[cities->count++] = y;
}

static inline void read_cities(struct cities *cities, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256], more;
    double x, y;
    if (!file)
        err(2, "%s", path);
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        if (sscanf(line, "%lf %lf %c", &x, &y, &more) != 2 || !isfinite(x) || !isfinite(y))
            errx(2, "%s: line %d should be two numbers, x and y", path, number);
        add_city(cities, x, y);
    }
    if (ferror(file) || fclose(file))
        err(2, "%s", path);
    if (cities->count < 4)
        errx(2, "%s: there are fewer than 4 cities", path);
}

static inline struct problem *make_problem(const struct cities *cities, int generations)
{
    size_t count = (size_t)cities->count;
    struct problem *problem = must(mproc_alloc(sizeof *problem + count * count * sizeof problem->distances[0]));
    problem->count = cities->count;
    problem->generations = generations;
    for (size_t i = 0; i < count * count; i++) {
        size_t from = i / count, to = i % count;
        problem->distances[i] = hypot(cities->x[from] - cities->x[to], cities->y[from] - cities->y[to]);
    }
    return problem;
}

static inline void draw(const struct cities *cities, const city *tour, const char *path)
{
    double left = INFINITY, bottom = INFINITY, size = 1e-300;
    for (int i = 0; i < cities->count; i++) {
        left = fmin(left, cities->x[i]);
        bottom = fmin(bottom, cities->y[i]);
    }
    for (int i = 0; i < cities->count; i++)
        size = fmax(size, fmax(cities->x[i] - left, cities->y[i] - bottom));

    FILE *file = fopen(path, "w");
    if (!file)
        err(1, "%s", path);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"800\" viewBox=\"-20 -20 840 840\">\n"
            "<rect x=\"-20\" y=\"-20\" width=\"840\" height=\"840\" fill=\"white\"/>\n"
            "<polygon fill=\"#dde8f5\" stroke=\"#24539b\" stroke-width=\"2\" stroke-linejoin=\"round\" points=\"");
    for (int i = 0; i < cities->count; i++)
        fprintf(file, "%.2f,%.2f\n", 800 * (cities->x[tour[i]] - left) / size,
                800 - 800 * (cities->y[tour[i]] - bottom) / size);
    fprintf(file, "\"/>\n");
    for (int i = 0; i < cities->count; i++)
        fprintf(file, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"3\"/>\n", 800 * (cities->x[i] - left) / size,
                800 - 800 * (cities->y[i] - bottom) / size);
    fprintf(file, "</svg>\n");
    if (ferror(file) || fclose(file))
        err(1, "%s", path);
}

#endif
