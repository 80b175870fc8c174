# For C++ programs: find_package(pymim) gives the target pymim::core.
include(CMakePackageConfigHelpers)
install(TARGETS pymim_core EXPORT pymim ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY cpp/include/pymim DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT pymim NAMESPACE pymim:: FILE pymim-targets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/pymim)
set(dependencies "find_dependency(Threads)\n")
if(PYMIM_HAS_CUDA AND NOT PYMIM_EMULATE)
  string(APPEND dependencies "find_dependency(CUDAToolkit)\n")
endif()
file(WRITE ${PROJECT_BINARY_DIR}/pymim-config.cmake
  "include(CMakeFindDependencyMacro)\n${dependencies}"
  "include(\${CMAKE_CURRENT_LIST_DIR}/pymim-targets.cmake)\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pymim-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/pymim-config.cmake ${PROJECT_BINARY_DIR}/pymim-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/pymim)
