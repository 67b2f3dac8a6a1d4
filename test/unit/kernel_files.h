/* Files of the kernel that a test makes up, in a folder that is given to the library as the root. */
#ifndef TEST_UNIT_KERNEL_FILES_H
#define TEST_UNIT_KERNEL_FILES_H

/* The folder, as long as it is open. */
extern char kernel_root[];
void kernel_open(void);
void kernel_close(void);

/* Write a file below it, with the folders that it needs. */
void kernel_put(const char *path, const char *text);

#endif
