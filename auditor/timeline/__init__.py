"""What a script does with validation tokens, in order: an abstract interpreter and the facts that it records.

Floor plan, each part on the one before: `machine` (heap) - `recorder` (events) - `flow` (branches, back edges) -
`operators` - `subscripts` - `expressions` - `objects` - `files` - `training` - `library` - `summaries` - `modules` -
`classes` - `calls` - `loops` - `statements` - `interpreter`. `contract` lists what they ask of each other; `models`,
`numerics` and `methods` model libraries by name; `order` holds the one question that the rules come down to.
"""
