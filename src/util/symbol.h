/* The names of functions, as the symbol table of an ELF file has them. Takes no lock and no memory, so it may be used
 * in a handler; and believes nothing that it reads, so the file may be cut off, or anything at all. */
#ifndef MPROC_UTIL_SYMBOL_H
#define MPROC_UTIL_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

/* An address, and the function in which it is. */
struct symbol {
    uint64_t address; /* as the file has it */
    uint64_t begin;   /* of the function */
    const char *name; /* in the file; NULL: none was found */
    size_t name_size; /* characters, without a 0 at their end */
};

/* Find the functions of count addresses in a file that lies in memory. Sets begin, name and name_size of each. Where
 * several functions have an address, it is the one that begins last. */
void symbol_find(const unsigned char *file, size_t size, struct symbol *symbols, size_t count);

/* The address, as the file has it, of a function with this name. 0: it has none. */
uint64_t symbol_named(const unsigned char *file, size_t size, const char *name);

#endif
