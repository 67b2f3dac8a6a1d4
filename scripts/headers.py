"""What the public headers declare, with their comments: read by scripts/api and scripts/man.

A comment at the beginning of a header is about all of it. One that begins with "---- title ----" opens a section. Any
other belongs to the declarations that follow it without a blank line, or to the section where a blank line comes next.
In a comment, lines indented by four more are code, "- " begins an item, and a blank line a new paragraph."""

import dataclasses
import os
import re

FOLDER = 'include/mproc'


@dataclasses.dataclass
class Item:
    """One declaration."""
    kind: str  # function, type, handle, macro
    name: str
    text: str  # as it stands in the header
    result: str = ''  # of a function
    arguments: list = dataclasses.field(default_factory=list)
    group: 'Group' = None

    def prototype(self):
        """A function's declaration without what only the compiler needs."""
        text = re.sub(r'\s*MPROC_PRINTF\([^)]*\)', '', self.text)
        if text.startswith('MPROC_API '):
            text = re.sub(r'\n {10}', '\n', text[len('MPROC_API '):])
        return re.sub(r'\s*\{.*', ';', text, flags=re.S)


@dataclasses.dataclass
class Group:
    """Declarations that share a comment."""
    comment: list  # of blocks: (kind, text), kind being text, code or item
    items: list
    section: 'Section' = None


@dataclasses.dataclass
class Section:
    title: str
    comment: list
    groups: list
    notes: list  # comments between its declarations
    header: 'Header' = None


@dataclasses.dataclass
class Header:
    path: str  # as in #include
    name: str  # of its man page
    comment: list
    sections: list

    def groups(self):
        return [group for section in self.sections for group in section.groups]

    def items(self):
        return [item for group in self.groups() for item in group.items]


def blocks(comment):
    """The paragraphs of a comment, without its stars."""
    lines = comment.strip()[2:-2].rstrip().split('\n')
    lines = [re.sub(r'^ ?\* ?', '', line) if at else line.strip() for at, line in enumerate(lines)]
    found = []
    for line in lines:
        code = line.startswith('    ')
        if not line.strip():
            found.append(('gap', ''))
        elif found and found[-1][0] == 'code' and code:
            found[-1] = ('code', found[-1][1] + '\n' + line[4:])
        elif len(found) > 1 and found[-1][0] == 'gap' and found[-2][0] == 'code' and code:
            found[-2:] = [('code', found[-2][1] + '\n\n' + line[4:])]
        elif code:
            found.append(('code', line[4:]))
        elif line.startswith('- '):
            found.append(('item', line[2:].strip()))
        elif found and found[-1][0] in ('text', 'item'):
            found[-1] = (found[-1][0], found[-1][1] + ' ' + line.strip())
        else:
            found.append(('text', line.strip()))
    return [block for block in found if block[0] != 'gap']


def tokens(text):
    """The pieces of a header: ('comment' | 'macro' | 'code' | 'blank', text). What is for C++ only is left out."""
    lines = text.split('\n')
    at = 0
    cplusplus = False
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith('#'):
            while line.endswith('\\'):
                line += '\n' + lines[at]
                at += 1
            if re.match(r'#\s*ifdef __cplusplus', line):
                cplusplus = True
            elif re.match(r'#\s*(else|endif)', line):
                cplusplus = False
            elif re.match(r'#\s*define \w+', line) and not cplusplus and not re.match(r'#\s*define MPROC\w*_H$', line):
                yield 'macro', line
        elif cplusplus:
            continue
        elif line.startswith('/*'):
            while '*/' not in line:
                line += '\n' + lines[at]
                at += 1
            yield 'comment', line
        elif not line.strip():
            yield 'blank', ''
        else:
            body = bool(re.match(r'static inline', line))
            while not (re.search(r'^\}$' if body else r';(\s*/\*.*\*/)?$', line, re.M) and
                       re.sub(r'/\*.*?\*/', '', line, flags=re.S).count('{') ==
                       re.sub(r'/\*.*?\*/', '', line, flags=re.S).count('}')):
                line += '\n' + lines[at]
                at += 1
            yield 'code', line


def split_arguments(text):
    """The arguments of a function, each as it is written."""
    found, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == '(') - (char == ')')
        if char == ',' and depth == 0:
            found.append(text[begin:at])
            begin = at + 1
    found.append(text[begin:])
    return [' '.join(argument.split()) for argument in found if argument.strip() != 'void']


def declaration(text):
    """The Item of a declaration; None for one that only announces a struct."""
    flat = ' '.join(re.sub(r'/\*.*?\*/', '', text, flags=re.S).split())
    if flat.startswith(('MPROC_API', 'static inline')):
        flat = re.sub(r'^MPROC_API |^static inline | MPROC_PRINTF\([^)]*\)|;$', '', flat).split(' {')[0]
        match = re.match(r'(.*?)\b(mproc_\w+)\s*\((.*)\)$', flat)
        return Item('function', match[2], text, match[1].strip(), split_arguments(match[3]))
    if re.match(r'struct \w+;$', flat):
        return None
    if '{' not in flat and (match := re.match(r'typedef struct (\w+) \1;$', flat)):
        return Item('handle', match[1], text)
    if '{' not in flat:
        return Item('type', re.search(r'\b(mproc_\w+)\s*\(', flat)[1], text)
    match = re.search(r'\}[^}]*?\b(\w+);$', flat) if flat.startswith('typedef') else re.search(r'(mproc_\w+) \{', flat)
    return Item('type', match[1], text)


def parse(path):
    """The Header in a file below include/."""
    with open(os.path.join('include', path), encoding='utf-8') as file:
        text = file.read()
    stem = path[:-2].replace('/', '_')
    header = Header(path, stem, None, [])
    section = Section('', [], [], [], header)
    header.sections.append(section)
    comment, group = None, None
    for kind, piece in tokens(text):
        if kind == 'comment':
            if header.comment is None:
                header.comment = blocks(piece)
                continue
            found = blocks(piece)
            title = re.match(r'---- (.*) ----$', found[0][1])
            if title:
                section = Section(title[1], found[1:], [], [], header)
                header.sections.append(section)
                comment, group = None, None
            else:
                comment, group = found, None
        elif kind == 'blank':
            if comment is not None and group is None:
                section.notes.append(comment)
            comment, group = None, None
        else:
            if kind == 'macro':
                item = Item('macro', re.match(r'#\s*define (\w+)', piece)[1], piece)
            else:
                item = declaration(piece)
            if item is None:
                continue
            if group is None:
                group = Group(comment or [], [], section)
                section.groups.append(group)
            item.group = group
            group.items.append(item)
    return header


def parse_all():
    """All headers, by name."""
    return [parse('mproc/' + name) for name in sorted(os.listdir(FOLDER)) if name.endswith('.h')]


def sentences(text):
    return re.split(r'(?<=\.)\s+', text)


# What a comment says of a result begins with it.
CONDITION = (r'MPROC_(?:TIMEOUT|CLOSED|OWNER_DIED|WORKER_DIED|TASK_FAILED|CANCELLED|TOO_SMALL|BROKEN|RUNNING|NOT_SHARED|'
             r'NOT_INITIALIZED|NO_FUNCTION|LATE|NOT_FOUND|SERVER_DIED|AUTH|INTERRUPTED|FOREIGN|KEY_EXPOSED)\b')
CODE = rf'(?:-E[A-Z0-9]+\b|{CONDITION}|0\b|-errno\b)'
CODES = rf'{CODE}(?:(?:, and |, | and | or ){CODE})*'
RESULT = re.compile(rf'^(?:Or )?(?:{CODES}(?=[ ,;:.]|$)|NULL (?:with|for|when|where|in|if|and|before)\b|NULL;|Returns\b|'
                    r'Results as\b|Never NULL\b|[Ff]alse for\b|0 for NULL\b)')


def summary(item):
    """One line about a function or type: the first sentence that is not about its results; None if there is none."""
    said = [sentence for kind, text in item.group.comment if kind == 'text' for sentence in sentences(text)]
    said = [sentence for sentence in said if not RESULT.match(sentence)]
    named = [sentence for sentence in said if re.search(rf'\b{item.name}\b', sentence)]
    if item is not item.group.items[0] and named:
        said = named
    if not said:
        return None
    line = re.split(r'(?:; |: |:$|\.$)', said[0])[0].strip()
    return line


def codes(item):
    """The results that the comment of a function names, each once, conditions before errors."""
    found = []
    for _, text in item.group.comment:
        for code in re.findall(rf'(?<![\w-])(?:{CONDITION}|-E[A-Z0-9]+\b)', text):
            if code not in found:
                found.append(code)
    return sorted(found, key=lambda code: code.startswith('-'))
