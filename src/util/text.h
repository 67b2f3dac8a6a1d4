/* Texts that must be cut to fit their place: between two letters of UTF-8, not inside one. Text that is no UTF-8 is cut
 * where the place ends. */
#ifndef MPROC_UTIL_TEXT_H
#define MPROC_UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

static inline bool text_continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* How many bytes the letter has that begins with this byte; 0 when none does. */
static inline size_t text_letter(char first)
{
    unsigned char byte = (unsigned char)first;
    return byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
}

/* How many of the first length bytes are left without a letter at their end that is not whole. */
static inline size_t text_whole(const char *text, size_t length)
{
    size_t back = 1;
    while (back <= 3 && back < length && text_continues(text[length - back]))
        back++;
    if (back > length)
        return length;
    size_t letter = text_letter(text[length - back]);
    return letter > back ? length - back : length;
}

/* How many bytes of a string fit into a place of size bytes with its end. */
static inline size_t text_fitting(const char *text, size_t size)
{
    size_t length = 0;
    while (length < size - 1 && text[length])
        length++;
    return text[length] ? text_whole(text, length) : length;
}

#endif
