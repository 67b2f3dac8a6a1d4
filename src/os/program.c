/* The program of this process, as program.h says. */
#define _GNU_SOURCE
#include "os/program.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool os_program_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

/* The kernel tells where it has mapped the loader of a program. A static program has no loader at all. */
bool os_program_has_loader(void)
{
    return getauxval(AT_BASE) == 0 && _r_debug.r_ldbase != 0;
}

/* ---- what came with the program ---- */

#define OBJECTS_MAX 512

/* The loaded objects, in the order of the loader's list; the program is the first. */
struct objects {
    const struct link_map *maps[OBJECTS_MAX];
    bool included[OBJECTS_MAX];
    size_t count;
    const void *address;
    size_t found; /* the one with the address, or count */
};

static const char *strings_of(const struct link_map *map)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_STRTAB) /* the loader has made it an address, but in the kernel's own object */
            return entry->d_un.d_ptr >= map->l_addr ? (const char *)entry->d_un.d_ptr
                                                    : (const char *)(map->l_addr + entry->d_un.d_ptr);
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether this is the object that another one needs under this name. */
static bool is_called(const struct link_map *map, const char *name)
{
    const char *strings = strings_of(map);
    if (map->l_name && (strcmp(map->l_name, name) == 0 || strcmp(base_name(map->l_name), name) == 0))
        return true;
    for (const ElfW(Dyn) *entry = map->l_ld; strings && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_SONAME)
            return strcmp(strings + entry->d_un.d_val, name) == 0;
    return false;
}

/* Include what one object needs. Returns whether something is new. */
static bool include_needed(struct objects *objects, const struct link_map *map)
{
    const char *strings = strings_of(map);
    bool is_new = false;
    for (const ElfW(Dyn) *entry = map->l_ld; strings && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag != DT_NEEDED)
            continue;
        for (size_t i = 0; i < objects->count; i++) {
            if (objects->included[i] || !is_called(objects->maps[i], strings + entry->d_un.d_val))
                continue;
            objects->included[i] = true;
            is_new = true;
        }
    }
    return is_new;
}

static bool covers(const struct dl_phdr_info *object, const void *address)
{
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (uintptr_t)address - (object->dlpi_addr + part->p_vaddr) < part->p_memsz)
            return true;
    }
    return false;
}

/* While this is called the loader changes nothing. */
static int find_address(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct objects *objects = arg;
    (void)size;
    if (!covers(object, objects->address))
        return 0;
    for (const struct link_map *map = _r_debug.r_map; map && objects->count < OBJECTS_MAX; map = map->l_next)
        objects->maps[objects->count++] = map;
    objects->found = objects->count;
    for (size_t i = 0; i < objects->count; i++)
        if (objects->maps[i]->l_addr == object->dlpi_addr && objects->found == objects->count)
            objects->found = i;
    if (objects->count > 0)
        objects->included[0] = true;
    for (bool is_new = objects->count > 0; is_new;) {
        is_new = false;
        for (size_t i = 0; i < objects->count; i++)
            if (objects->included[i])
                is_new = include_needed(objects, objects->maps[i]) || is_new;
    }
    return 1;
}

bool os_program_includes(const void *address)
{
    struct objects objects = {.address = address};
    if (dl_iterate_phdr(find_address, &objects) == 0)
        return false;
    return objects.count == 0 || (objects.found < objects.count && objects.included[objects.found]);
}

/* ---- mapped files ---- */

/* One line of the list of mappings. */
struct mapping {
    uintptr_t begin, end;
    unsigned major, minor;
    uint64_t inode;
    char *path; /* in the line */
};

static bool parse(char *line, struct mapping *mapping)
{
    int at = 0;
    unsigned long begin, end, inode;
    if (sscanf(line, "%lx-%lx %*s %*s %x:%x %lu %n", &begin, &end, &mapping->major, &mapping->minor, &inode, &at) < 5)
        return false;
    mapping->begin = begin;
    mapping->end = end;
    mapping->inode = inode;
    mapping->path = line + at;
    mapping->path[strcspn(mapping->path, "\n")] = '\0';
    return true;
}

/* Some file systems tell another device in the list than by stat(). */
static int check_file(const struct mapping *mapping)
{
    struct stat status;
    if (mapping->path[0] != '/' || stat(mapping->path, &status))
        return -ENOENT;
    if (!S_ISREG(status.st_mode) || status.st_ino != mapping->inode)
        return -ENOENT;
    return 0;
}

static int copy_mapped(FILE *list, const void *address, char *path, size_t size)
{
    struct mapping mapping;
    char *line = NULL;
    size_t room = 0;
    int result = -ENOENT;
    while (getline(&line, &room, list) > 0) {
        if (!parse(line, &mapping) || (uintptr_t)address < mapping.begin || (uintptr_t)address >= mapping.end)
            continue;
        result = check_file(&mapping);
        if (!result && strlen(mapping.path) >= size)
            result = -ENAMETOOLONG;
        if (!result)
            strcpy(path, mapping.path);
        break;
    }
    free(line);
    return result;
}

int os_mapped_path(const void *address, char *path, size_t size)
{
    int fault = os_fault(OS_OPEN);
    if (fault)
        return fault;
    FILE *list = os_open_text("/proc/self/maps");
    if (!list)
        return failed_call("fopen");
    int result = copy_mapped(list, address, path, size);
    uncancelled_fclose(list);
    return result;
}

int os_program_path(char *path, size_t size)
{
    const struct link_map *program = _r_debug.r_map;
    return program && program->l_ld ? os_mapped_path(program->l_ld, path, size) : -ENOENT;
}

long os_program_arguments(char *text, size_t size)
{
    int fd = os_open("/proc/self/cmdline", O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t count = os_read(fd, text, size);
    os_close(fd);
    return count;
}
