/* Stacks for the signals of threads that this process makes later.
 *
 * A thread that has used up its stack cannot be told so: the kernel has no place for the frame of the signal, and kills
 * the process without a word. Only the thread itself can give it a place. So the workers, in which the program's code
 * is run for it, make each thread begin with that: where object files call pthread_create() by a pointer in their table
 * of addresses, the pointer leads here. The symbol is not touched: what the program is linked with, and what it finds
 * by dlsym(), is the C library's. A call that has no such pointer, as in a static program, makes a thread as ever. */
#define _GNU_SOURCE
#include "os/crash.h"

#include "os/allocate.h"
#include "os/fault.h"
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)

#define STACK_SIZE ((size_t)64 << 10)

typedef int create_function(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);

static create_function *real_create;
static pthread_key_t key; /* its destructor gives the stack back, however the thread ends */

/* What a thread was to do. */
struct beginning {
    void *(*run)(void *);
    void *arg;
};

static void drop_stack(void *memory)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    munmap(memory, STACK_SIZE);
}

static void take_stack(void)
{
    if (os_fault(OS_MMAP))
        return;
    void *memory =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return;
    const stack_t stack = {.ss_sp = memory, .ss_size = STACK_SIZE};
    if (sigaltstack(&stack, NULL) || pthread_setspecific(key, memory))
        drop_stack(memory);
}

static void *begin(void *arg)
{
    struct beginning beginning = *(struct beginning *)arg;
    free(arg);
    take_stack();
    return beginning.run(beginning.arg);
}

static int create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    struct beginning *beginning = os_malloc(sizeof *beginning);
    if (!beginning)
        return real_create(thread, attributes, run, arg);
    *beginning = (struct beginning){run, arg};
    int error = real_create(thread, attributes, begin, beginning);
    if (error)
        free(beginning);
    return error;
}

/* ---- the tables of addresses ---- */

/* What the loader has noted of an object. */
struct tables {
    const ElfW(Rela) * lists[2];
    size_t counts[2];
    const ElfW(Sym) * symbols;
    const char *names;
};

static const void *at(const struct dl_phdr_info *object, ElfW(Addr) address)
{
    return (const void *)(address >= object->dlpi_addr ? address : address + object->dlpi_addr);
}

static struct tables read_tables(const struct dl_phdr_info *object, const ElfW(Dyn) * entry)
{
    struct tables tables = {.symbols = NULL};
    for (; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_RELA)
            tables.lists[0] = at(object, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_RELASZ)
            tables.counts[0] = entry->d_un.d_val / sizeof(ElfW(Rela));
        else if (entry->d_tag == DT_JMPREL)
            tables.lists[1] = at(object, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_PLTRELSZ)
            tables.counts[1] = entry->d_un.d_val / sizeof(ElfW(Rela));
        else if (entry->d_tag == DT_SYMTAB)
            tables.symbols = at(object, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_STRTAB)
            tables.names = at(object, entry->d_un.d_ptr);
    }
    return tables;
}

static bool is_protected(const struct dl_phdr_info *object, uintptr_t place)
{
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_GNU_RELRO && place - (object->dlpi_addr + part->p_vaddr) < part->p_memsz)
            return true;
    }
    return false;
}

static void lead_here(const struct dl_phdr_info *object, create_function **place)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)place & ~(uintptr_t)(size - 1));
    bool is_closed = is_protected(object, (uintptr_t)place);
    if (is_closed && mprotect(page, size, PROT_READ | PROT_WRITE))
        return;
    __atomic_store_n(place, create, __ATOMIC_RELAXED);
    if (is_closed)
        mprotect(page, size, PROT_READ);
}

static void search(const struct dl_phdr_info *object, const struct tables *tables)
{
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; tables->lists[k] && i < tables->counts[k]; i++) {
            const ElfW(Rela) *entry = &tables->lists[k][i];
            unsigned type = ELF64_R_TYPE(entry->r_info);
            if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
                continue;
            const ElfW(Sym) *symbol = &tables->symbols[ELF64_R_SYM(entry->r_info)];
            if (strcmp(tables->names + symbol->st_name, "pthread_create") == 0)
                lead_here(object, (create_function **)(object->dlpi_addr + entry->r_offset));
        }
    }
}

/* The kernel's own object, and the C library's, call nothing of that kind. */
static int visit(struct dl_phdr_info *object, size_t size, void *seen)
{
    unsigned long long *adds = seen;
    (void)size;
    if (*adds == object->dlpi_adds)
        return 1; /* nothing was loaded since */
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_DYNAMIC || !object->dlpi_name || strstr(object->dlpi_name, "linux-vdso"))
            continue;
        struct tables tables = read_tables(object, (const ElfW(Dyn) *)(object->dlpi_addr + part->p_vaddr));
        if (tables.symbols && tables.names)
            search(object, &tables);
    }
    return 0;
}

static int count_adds(struct dl_phdr_info *object, size_t size, void *adds)
{
    (void)size;
    *(unsigned long long *)adds = object->dlpi_adds;
    return 1;
}

void os_crash_listen_in_threads(void)
{
    static unsigned long long seen;
    if (!real_create) {
        if (pthread_key_create(&key, drop_stack))
            return;
        real_create = pthread_create;
    }
    dl_iterate_phdr(visit, &seen);
    dl_iterate_phdr(count_adds, &seen);
}

#else

void os_crash_listen_in_threads(void)
{
}

#endif
