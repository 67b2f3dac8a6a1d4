/* Lists that the linker puts together of what the files of the library have for one another. Nothing must have run for
 * them to be whole: a program's own constructors may use the library before those of the library have run.
 *
 * An entry is a constant pointer with OS_LISTED("mproc_NAME"); the list is what lies between __start_mproc_NAME and
 * __stop_mproc_NAME, which are declared with OS_LIST, and are the same address where nobody has an entry. */
#ifndef MPROC_OS_LISTED_H
#define MPROC_OS_LISTED_H

#if defined(__has_attribute)
#if __has_attribute(retain)
#define OS_RETAINED , retain
#endif
#endif
#ifndef OS_RETAINED
#define OS_RETAINED
#endif

#define OS_LISTED(list) __attribute__((section(list), used OS_RETAINED))
#define OS_LIST         __attribute__((weak, visibility("hidden")))

#endif
