/* That the tables of every.h name every public function and no other, and that no way is listed twice. */
#include "every.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_SIZE = 128
};

static const struct every_table *const tables[] = {
    &cases_base, &cases_sync,    &cases_wakes,  &cases_queue,      &cases_connection, &cases_listener,
    &cases_wait, &cases_process, &cases_start,  &cases_group,      &cases_pool,       &cases_tasks,
    &cases_host, &cases_memory,  &cases_values, &cases_containers, &cases_manager,
};

enum {
    TABLES = sizeof tables / sizeof *tables
};

/* Call visit for each case of all tables until it returns true. Returns whether it did. */
static bool find_case(bool (*visit)(const struct every_case *is, const void *arg), const void *arg)
{
    for (size_t i = 0; i < TABLES; i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            if (visit(&tables[i]->cases[j], arg))
                return true;
    return false;
}

static bool is_of_function(const struct every_case *is, const void *name)
{
    return strcmp(is->function, name) == 0;
}

/* The list of the linker. $MPROC_SOURCE is the root of the sources. */
static FILE *open_map(void)
{
    char path[4096];
    const char *root = getenv("MPROC_SOURCE");

    snprintf(path, sizeof path, "%s/mproc.map", root ? root : ".");
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("%s cannot be read; MPROC_SOURCE is to say where it is", path);
    return file;
}

/* The next name of the list. */
static bool next_function(FILE *map, char name[NAME_SIZE])
{
    char line[NAME_SIZE];

    while (fgets(line, sizeof line, map))
        if (sscanf(line, " %127[a-z0-9_];", name) == 1 && strncmp(name, "mproc_", 6) == 0)
            return true;
    return false;
}

static void every_public_function_is_walked(void **state)
{
    char name[NAME_SIZE];
    FILE *map = open_map();
    int functions = 0, missing = 0;

    (void)state;
    for (; next_function(map, name); functions++) {
        if (find_case(is_of_function, name))
            continue;
        fprintf(stderr, "no table of every.h has %s\n", name);
        missing++;
    }
    fclose(map);
    assert_true(functions > 100);
    assert_int_equal(missing, 0);
}

static bool is_not_public(const struct every_case *is, const void *arg)
{
    char name[NAME_SIZE];
    FILE *map = open_map();
    bool found = false;

    (void)arg;
    while (!found && next_function(map, name))
        found = strcmp(name, is->function) == 0;
    fclose(map);
    if (!found)
        fprintf(stderr, "mproc.map has no %s\n", is->function);
    return !found;
}

static void only_public_functions_are_walked(void **state)
{
    (void)state;
    assert_false(find_case(is_not_public, NULL));
}

static bool is_another_of_that_name(const struct every_case *is, const void *arg)
{
    const struct every_case *that = arg;
    return is != that && strcmp(is->function, that->function) == 0 &&
           (!is->when || !that->when || strcmp(is->when, that->when) == 0);
}

static bool has_a_twin(const struct every_case *is, const void *arg)
{
    (void)arg;
    if (find_case(is_another_of_that_name, is))
        fprintf(stderr, "%s has two cases that are not told apart by when\n", is->function);
    return find_case(is_another_of_that_name, is);
}

static void each_way_has_a_name_of_its_own(void **state)
{
    (void)state;
    assert_false(find_case(has_a_twin, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(every_public_function_is_walked),
        unit(only_public_functions_are_walked),
        unit(each_way_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
