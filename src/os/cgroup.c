/* The control groups of this process: finds their folders by /proc/self/cgroup and /proc/self/mountinfo. The quota of
 * CPUs and the limit of memory may each stand at any level of the tree. */
#include "os/cgroup.h"

#include "os/file.h"
#include "os/uncancelled.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define USUAL_PLACE "/sys/fs/cgroup"

/* The groups of this process: its path in the second version, and in the first where that has the controller. */
struct groups {
    char unified[PATH_MAX];
    char first[PATH_MAX];
};

/* A line of the table of mounts, cut into what matters here. */
struct mount {
    const char *root;
    const char *point;
    const char *type;
    const char *options;
};

struct walk {
    const char *root;
    const char *controller;
    void (*visit)(const struct os_cgroup *group, void *arg);
    void *arg;
    struct groups groups;
};

static FILE *open_text(const char *root, const char *path)
{
    char whole[2 * PATH_MAX];

    if (snprintf(whole, sizeof whole, "%s%s", root, path) >= (int)sizeof whole)
        return NULL;
    return os_open_text(whole);
}

static FILE *open_of_group(const struct os_cgroup *group, const char *name)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof path, "%s/%s", group->folder, name);
    return open_text(group->root, path);
}

int os_cgroup_numbers(const struct os_cgroup *group, const char *name, long long numbers[2])
{
    FILE *file = open_of_group(group, name);
    if (!file)
        return 0;
    int count = fscanf(file, "%lld %lld", &numbers[0], &numbers[1]);
    uncancelled_fclose(file);
    return count;
}

long long os_cgroup_sum(const struct os_cgroup *group, const char *name, const char *const names[])
{
    char line[256], field[64];
    long long number, sum = 0;

    FILE *file = open_of_group(group, name);
    if (!file)
        return 0;
    while (uncancelled_fgets(line, sizeof line, file)) {
        if (sscanf(line, "%63s %lld", field, &number) != 2)
            continue;
        for (const char *const *at = names; *at; at++)
            if (strcmp(field, *at) == 0)
                sum += number;
    }
    uncancelled_fclose(file);
    return sum;
}

/* Whether a comma-separated list has this word. */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (; list; list = strchr(list, ','), list = list ? list + 1 : NULL)
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
    return false;
}

/* A line is number:controllers:path. */
static void read_groups(struct walk *walk)
{
    char line[PATH_MAX + 256];

    walk->groups.unified[0] = walk->groups.first[0] = '\0';
    FILE *file = open_text(walk->root, "/proc/self/cgroup");
    while (file && uncancelled_fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        if (strcmp(line, "0:") == 0)
            snprintf(walk->groups.unified, sizeof walk->groups.unified, "%s", path);
        else if (lists(controllers + 1, walk->controller))
            snprintf(walk->groups.first, sizeof walk->groups.first, "%s", path);
    }
    if (file)
        uncancelled_fclose(file);
}

/* The folder of a group below a mount, which may show a part of the tree only. What is outside of that part cannot be
 * seen; then the mount itself is all there is. */
static void folder_of(const struct mount *mount, const char *group, char *folder, size_t size)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    const char *below = group + length;

    if (strncmp(group, mount->root, length) != 0 || (*below != '/' && *below != '\0') || strstr(group, "/..") ||
        strcmp(below, "/") == 0)
        below = "";
    snprintf(folder, size, "%s%s", mount->point, below);
}

/* Visit a group and those above it, up to the mount. */
static void walk_up(const struct walk *walk, const struct mount *mount, const char *group, bool is_unified)
{
    char folder[PATH_MAX];

    folder_of(mount, group, folder, sizeof folder);
    for (;;) {
        walk->visit(&(struct os_cgroup){walk->root, folder, is_unified}, walk->arg);
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < strlen(mount->point))
            return;
        *slash = '\0';
    }
}

/* A line is: number parent device root point options [more ...] - type source options. */
static bool cut_mount(char *line, struct mount *mount)
{
    char *fields[5], *rest = NULL;

    line[strcspn(line, "\n")] = '\0';
    char *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    for (int i = 0; i < 5; i++) {
        fields[i] = strtok_r(i ? NULL : line, " ", &rest);
        if (!fields[i])
            return false;
    }
    mount->root = fields[3];
    mount->point = fields[4];
    mount->type = strtok_r(tail + 3, " ", &rest);
    mount->options = mount->type && strtok_r(NULL, " ", &rest) ? strtok_r(NULL, " ", &rest) : NULL;
    return mount->options;
}

/* Whether the second version was found where it is by convention. */
static bool walk_mounts(const struct walk *walk)
{
    char line[2 * PATH_MAX];
    struct mount mount;
    bool found = false;

    FILE *file = open_text(walk->root, "/proc/self/mountinfo");
    while (file && uncancelled_fgets(line, sizeof line, file)) {
        if (!cut_mount(line, &mount))
            continue;
        if (strcmp(mount.type, "cgroup2") == 0) {
            walk_up(walk, &mount, walk->groups.unified, true);
            found = found || strcmp(mount.point, USUAL_PLACE) == 0;
        } else if (strcmp(mount.type, "cgroup") == 0 && lists(mount.options, walk->controller)) {
            walk_up(walk, &mount, walk->groups.first, false);
        }
    }
    if (file)
        uncancelled_fclose(file);
    return found;
}

/* The usual place of the second version is looked at even if no mount is seen there: the table of mounts may be of
 * another namespace than what is seen, or not be there at all. */
void os_cgroup_each(const char *root, const char *controller, void (*visit)(const struct os_cgroup *group, void *arg),
                    void *arg)
{
    struct walk walk = {.root = root, .controller = controller, .visit = visit, .arg = arg};

    read_groups(&walk);
    if (!walk_mounts(&walk))
        walk_up(&walk, &(struct mount){.root = "/", .point = USUAL_PLACE}, walk.groups.unified, true);
}
