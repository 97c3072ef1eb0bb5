"""The grammar ``sentences``: plain English of some 1,000 words, in the notation of ``grammar.py``.

Number and tense agree, times fit tenses, and verbs take what they can take (people are thanked, food is cooked). Words
that are spelt alike but spoken in two ways (read, live, wind, close) are left out: their text would not tell the sound.
"""

SENTENCES_RULES = """
SENTENCE = STATEMENT | DESCRIPTION | QUESTION | REQUEST | COMPLEX | REPORT

STATEMENT = PAST | PAST PAST_TIME | PAST_TIME PAST | PRESENT | PRESENT HABIT | FUTURE | FUTURE LATER | LATER FUTURE |
    ANIMAL_STATEMENT
PAST = WHO VP_PAST | WHO MANNER VP_PAST | WHO didn't VP_BASE | WHO FREQUENCY VP_PAST | WHO wanted to VP_BASE | WHO had
    to VP_BASE
PRESENT = WHO_SG VP_SG | WHO_PL VP_BASE | WHO_SG FREQUENCY VP_SG | WHO_PL FREQUENCY VP_BASE | WHO_SG doesn't VP_BASE |
    WHO_PL don't VP_BASE | WHO_SG WISH_SG to VP_BASE | WHO_PL WISH_BASE to VP_BASE
FUTURE = WHO MODAL VP_BASE | WHO MODAL never VP_BASE | WHO won't VP_BASE | WHO can't VP_BASE | i'll VP_BASE | we'll
    VP_BASE | they'll VP_BASE
MODAL : will can should must might could
WISH verb : hope want need plan/plans/planned prefer/prefers/preferred

COMPLEX = PAST because SHORT_PAST | PAST CONNECTIVE SHORT_PAST | CONNECTIVE SHORT_PAST SHORT_PAST | if SHORT_PRESENT
    WHO will VP_BASE | SHORT_PAST and then SHORT_PAST | SHORT_PAST but WHO didn't VP_BASE | although SHORT_PAST
    SHORT_PAST | the PERSON_SG who VP_PAST VP_PAST | people who VP_BASE FREQUENCY VP_BASE
CONNECTIVE : when before after while until
SHORT_PAST = WHO VP_PAST | WHO REST_PAST | it was WEATHER | it rained
SHORT_PRESENT = WHO_SG VP_SG | WHO_PL VP_BASE | it rains | it is WEATHER

REPORT = WHO SAY_PAST that SHORT_PAST | WHO_SG SAY_SG that SHORT_PRESENT | WHO_PL SAY_BASE that SHORT_PRESENT | i
    THINK that FUTURE | WHO ASK_PAST PERSONS to VP_BASE | WHO wondered WH SHORT_PAST
WH : why whether when how
SAY verb : explain notice say/says/said hear/hears/heard remember know/knows/knew
THINK : believe guess suppose doubt
ASK verb : ask invite remind tell/tells/told advise encourage

QUESTION = did WHO VP_BASE | did WHO VP_BASE PAST_TIME | does WHO_SG VP_BASE | do WHO_PL VP_BASE | MODAL_QUESTION WHO
    VP_BASE | why did WHO VP_BASE | why don't WHO_PL VP_BASE | when will WHO VP_BASE | who VP_PAST PAST_TIME | how
    often does WHO_SG VP_BASE | where did WHO HANDLE_BASE DEF_THING | which THING_SG did WHO HANDLE_BASE | how many
    THING_PL did WHO HANDLE_BASE PAST_TIME | what did WHO COOK_BASE PAST_TIME | is DET_DEF THING_SG LOOKS | are
    DET_DEF THING_PL LOOKS | isn't DET_DEF PERSON_SG MOOD today
MODAL_QUESTION : will can should could would

REQUEST = please HANDLE_BASE DEF_THING | please HANDLE_BASE DEF_THING LATER | don't HANDLE_BASE DEF_THING | let's
    VP_BASE LATER | please HELP_BASE PERSONS | never HANDLE_BASE DEF_THING PLACE

DESCRIPTION = DEF_THING_SG is LOOKS | DEF_THING_PL are LOOKS | DEF_THING_SG was PLACE | DEF_THING_PL were PLACE |
    there is a/an LOOKS THING_SG PLACE | there are NUMBER THING_PL PLACE | there was some FOOD_MASS PLACE | WHO_SG is
    MOOD | WHO_PL are MOOD | WHO_SG was very MOOD PAST_TIME | WHO_PL were too MOOD to VP_BASE | it was WEATHER SPOT
    PAST_TIME | DET_DEF FOOD_MASS tasted TASTE | DEF_THING_SG is COMPARED than DEF_THING_SG | i'm MOOD SPOT |
    PERSON_OWNER THING_SG is COLOUR | DEF_THING_SG belongs to PERSONS

ANIMAL_STATEMENT = ANIMALS ROAM_PAST PATH | ANIMALS ROAM_PAST PATH PAST_TIME | a/an ANIMAL_SG ROAM_SG PATH |
    ANIMAL_MANY ROAM_BASE PATH | WHO SEE_PAST ANIMALS SPOT | ANIMALS SEE_PAST ANIMALS
ANIMALS = DET_SG ANIMAL_SG | DET_SG TRAIT ANIMAL_SG | ANIMAL_MANY
ANIMAL_MANY = DET_PL ANIMAL_PL | DET_PL TRAIT ANIMAL_PL
ROAM verb : run/runs/ran walk jump climb swim/swims/swam wander hurry rush crawl escape
SEE verb : see/sees/saw watch follow chase find/finds/found hear/hears/heard

VP* = HANDLE* THINGS | HANDLE* THINGS PLACE | HELP* PERSONS | HELP* PERSONS SPOT | COOK* FOOD | COOK* FOOD with
    PERSONS | REST* | REST* SPOT | REST* MANNER | TRAVEL* to DESTINATION | TRAVEL* to DESTINATION with PERSONS | GIVE*
    PERSONS a/an THING_SG | GIVE* THINGS to PERSONS | TALK* about TOPIC | SEE* ANIMALS
HANDLE verb : carry hold/holds/held drop/drops/dropped find/finds/found lose/loses/lost clean wash paint repair
    hide/hides/hid buy/buys/bought sell/sells/sold borrow move open break/breaks/broke forget/forgets/forgot
    bring/brings/brought keep/keeps/kept take/takes/took count choose/chooses/chose check cover collect
HELP verb : help visit call thank meet/meets/met follow teach/teaches/taught trust warn greet answer join invite
    interview forgive/forgives/forgave
COOK verb : cook eat/eats/ate prepare taste serve order share boil
REST verb : rest sleep/sleeps/slept laugh smile wait sing/sings/sang dance work listen arrive cry stand/stands/stood
    sit/sits/sat study practise exercise whisper relax
TRAVEL verb : travel go/goes/went walk return drive/drives/drove ride/rides/rode run/runs/ran hurry sail
    fly/flies/flew
GIVE verb : give/gives/gave show/shows/showed send/sends/sent lend/lends/lent offer
TALK verb : talk ask think/thinks/thought dream argue worry sing/sings/sang write/writes/wrote learn complain

WHO = WHO_SG | WHO_PL | i
WHO_SG = he | she | NAME | DET_SG PERSON_SG | DET_SG NATURE PERSON_SG | PERSON_OWNER FAMILY_SG | PERSON_OWNER PARENT
WHO_PL = we | they | you | NAME and NAME | DET_PL PERSON_PL | DET_PL NATURE PERSON_PL | POSSESSIVE FAMILY_PL
PERSONS = him | her | them | NAME | DET_SG PERSON_SG | DET_SG NATURE PERSON_SG | DET_PL PERSON_PL | POSSESSIVE
    FAMILY_SG | POSSESSIVE PARENT | everyone
PERSON_OWNER = NAME_OWNER | my | your | our | his | the teacher's | the doctor's | the captain's
THINGS = DET_SG THING_SG | DET_SG LOOKS THING_SG | DET_SG SIZE COLOUR THING_SG | DET_PL THING_PL | DET_PL LOOKS
    THING_PL | NUMBER COLOUR THING_PL | NAME_OWNER THING_SG | it | them
DEF_THING = DEF_THING_SG | DEF_THING_PL
DEF_THING_SG = DET_DEF THING_SG | DET_DEF LOOKS THING_SG | this THING_SG | that COLOUR THING_SG
DEF_THING_PL = DET_DEF THING_PL | DET_DEF LOOKS THING_PL | these THING_PL | those COLOUR THING_PL
FOOD = some FOOD_MASS | DET_DEF FOOD_MASS | DET_SG FRUIT_SG | DET_PL FRUIT_PL | TASTE FOOD_MASS | NUMBER TASTE
    FRUIT_PL
TOPIC = DET_DEF SUBJECT | the weather | PERSONS | SUBJECT | DEF_THING

DET_SG = the | a/an | my | your | our | his | her | their | this | that | every | another | a/an
DET_PL = the | my | your | our | his | their | these | those | some | many | several | most | all the | NUMBER
DET_DEF : the my your our his her their
POSSESSIVE : my your our his her their
NUMBER : two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty

NAME : anna peter maria david helen thomas alice robert emma martin julia henry laura oliver sophie daniel clara
    victor nina george susan walter rosa edward
NAME_OWNER : anna's peter's maria's david's helen's thomas's alice's robert's emma's martin's julia's henry's
PERSON noun : teacher doctor farmer student lawyer nurse sailor baker driver writer singer painter neighbour friend
    child/children woman/women man/men captain soldier engineer scientist actor dentist gardener manager officer pilot
    player plumber poet waiter visitor stranger guest tourist customer judge artist butcher hunter king queen
    journalist musician carpenter librarian mechanic astronaut
PARENT : mother father grandmother grandfather
FAMILY noun : sister brother uncle aunt cousin daughter nephew
ANIMAL noun : cat dog horse rabbit fox wolf/wolves bear elephant mouse/mice goose/geese owl eagle duck tiger lion
    monkey goat cow pig squirrel frog snake turtle camel
THING noun : book lamp basket bottle box chair table window door key letter picture bicycle car boat clock camera
    hammer knife/knives spoon plate cup blanket pillow carpet curtain coat hat shirt shoe glove umbrella ring watch
    newspaper magazine map ticket suitcase bag wallet phone radio computer piano guitar drum violin toy ball kite
    ladder rope bucket candle mirror envelope pencil engine uniform
FRUIT noun : apple orange banana potato tomato egg sandwich cake pie onion carrot lemon peach biscuit pancake mushroom
FOOD_MASS : bread cheese rice soup butter honey milk coffee tea chicken fish salad pasta chocolate sugar juice beef
    jam
SUBJECT : music history science politics football poetry money chemistry art geography religion philosophy mathematics
    biology literature

COLOUR : red blue green yellow black white brown grey pink purple orange golden silver
SIZE : big small large tiny huge little long short
LOOKS : old new heavy light clean dirty broken expensive cheap beautiful ugly strange empty useful wooden round square
    soft sharp wet dry warm cold interesting ordinary modern ancient
NATURE : young old kind clever brave honest friendly famous polite quiet lazy busy careful proud shy rich poor tall
    gentle patient generous
MOOD : happy sad tired angry hungry thirsty nervous lonely sick afraid excited bored ready worried calm cheerful
    confused grateful
TRAIT : hungry wild lazy fast sleepy frightened curious noisy playful fierce spotted white grey
TASTE : sweet sour fresh bitter salty delicious spicy warm
WEATHER : sunny cloudy rainy windy foggy cold hot dark stormy snowing
COMPARED : bigger smaller older newer heavier lighter cheaper longer shorter cleaner better worse

MANNER : quickly slowly quietly loudly carefully happily gently suddenly patiently bravely easily politely proudly
    secretly nervously
FREQUENCY : always often usually sometimes rarely never
PAST_TIME = yesterday | last night | last PERIOD | NUMBER PERIODS ago | on WEEKDAY | this morning | in MONTH
LATER = tomorrow | soon | next PERIOD | tonight | on WEEKDAY | in NUMBER PERIODS | this evening
HABIT = every PERIOD | every morning | every evening | on sundays | in the SEASON | at night | twice a/an PERIOD
PERIOD : week month year weekend
PERIODS : hours days weeks months years minutes
WEEKDAY : monday tuesday wednesday thursday friday saturday sunday
MONTH : january february march april may june july august september october november december
SEASON : spring summer autumn winter

PLACE = SPOT | under the FURNITURE | on the FURNITURE
SPOT = in the ROOM | at the SITE | near the LANDMARK | behind the LANDMARK | in front of the LANDMARK | next to the
    LANDMARK
PATH = across the LAND | through the LAND | into the LAND | towards the LANDMARK | around the LANDMARK
DESTINATION = the SITE | the LANDMARK | the LAND | CITY
ROOM : kitchen garden bedroom garage bathroom attic cellar hall office library
SITE : market station school airport hospital museum theatre restaurant bank factory university hotel cinema farm
LANDMARK : bridge tower church river castle lake mountain fence tree wall gate statue fountain
LAND : forest field valley park village jungle street meadow
FURNITURE : shelf desk bed sofa bench stairs cupboard
CITY : london paris rome berlin madrid vienna cairo boston tokyo athens
"""
