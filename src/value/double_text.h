/* A double as the shortest decimal number that is read back as the same double. */
#ifndef MPROC_VALUE_DOUBLE_TEXT_H
#define MPROC_VALUE_DOUBLE_TEXT_H

enum {
    DOUBLE_TEXT_SIZE = 48
};

/* As Python's repr() writes it, whatever the locale: 1.0, 1e-05, 1e+16, -0.0, inf, nan. */
void double_text(char text[DOUBLE_TEXT_SIZE], double real);

#endif
