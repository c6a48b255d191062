# holdfast_layer(NAME DEPENDS lower layers and libraries...): one folder under src/ = one static library of all its
# .cc files. Warnings are errors.
add_library(holdfast_options INTERFACE)
target_compile_options(holdfast_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
target_compile_definitions(holdfast_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64
                           HOLDFAST_VERSION="${PROJECT_VERSION}")
target_include_directories(holdfast_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
if(HOLDFAST_SANITIZE)
  string(REPLACE ";" "," sanitizers "${HOLDFAST_SANITIZE}")
  target_compile_options(holdfast_options INTERFACE -fsanitize=${sanitizers} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(holdfast_options INTERFACE -fsanitize=${sanitizers})
endif()

function(holdfast_layer name)
  cmake_parse_arguments(LAYER "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(holdfast_${name} STATIC ${sources})
  target_link_libraries(holdfast_${name} PUBLIC holdfast_options ${LAYER_DEPENDS})
endfunction()
